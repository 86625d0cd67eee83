"""A barrier for threads that run compiled code without the interpreter."""

from __future__ import annotations

from numba.core import types

from analogep.solve.compiled import compiled, intrinsic

_SPINS = 4000  # polls before the processor is given away

_yield = types.ExternalFunction("sched_yield", types.int32())


@intrinsic
def load(typingctx, array, index):  # type: ignore[no-untyped-def]
    """Load an int64 array element atomically."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.load_atomic(builder.gep(view.data, [args[1]]), "acquire", 8)

    return types.int64(array, types.int64), generate


@intrinsic
def add(typingctx, array, index, value):  # type: ignore[no-untyped-def]
    """Add to an int64 array element atomically; returns what it held."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.atomic_rmw("add", builder.gep(view.data, [args[1]]), args[2], "acq_rel")

    return types.int64(array, types.int64, types.int64), generate


@compiled(inner=True)
def barrier(counter, threads, passed):  # type: ignore[no-untyped-def]
    """Wait until all threads have arrived for the ``passed``-th time; returns the next count."""
    if threads > 1:
        add(counter, 0, 1)
        wanted = (passed + 1) * threads
        spins = 0
        while load(counter, 0) < wanted:
            spins += 1
            if spins > _SPINS:
                _yield()
    return passed + 1
