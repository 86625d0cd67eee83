"""Calls of one compiled function by another through its address.

A compiled function holds a copy of all that it calls: optimised and translated once more in every caller. What is
called through its address is compiled once, and not at all where its address is 0 and nobody calls it.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

from typing import Any

import numba as nb
from numba.core import types

from analogep.solve.compiled import intrinsic


def address(kernel: Any, *arguments: object) -> int:
    """Return where a compiled function without a result begins, compiled for arguments like these.

    Integers count as int64, floats as float64, booleans as such; arrays and named tuples as what they are.
    """
    signature = tuple(nb.typeof(a) for a in arguments)
    kernel.compile(signature)
    found = kernel.overloads[signature]
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))


@intrinsic
def through(typingctx, pointer, arguments):  # type: ignore[no-untyped-def]
    """Call what begins at ``pointer``, from :func:`address`, with a tuple of arguments of just its types."""
    plain = [types.unliteral(a) for a in arguments.types]

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        values = [builder.extract_value(args[1], i) for i in range(len(plain))]
        callee = context.call_conv.get_function_type(types.none, plain)
        target = builder.inttoptr(args[0], callee.as_pointer())
        context.call_conv.call_function(builder, target, types.none, plain, values)
        return context.get_dummy_value()

    return types.none(types.intp, types.Tuple.from_types(plain)), generate
