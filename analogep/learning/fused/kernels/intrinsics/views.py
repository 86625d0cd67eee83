"""Views of flat arrays: what slices and reshapes give, in a tenth of the code to compile.

A slice of numba's checks its ends, a reshape the layout of what it gets; kernels are full of both, and their
compilation took most of its time over these checks. Here nobody checks anything: the caller knows its bounds.
A view must not outlive what it looks at, which a kernel's arguments see to.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

from numba.core import cgutils, types
from numba.np.arrayobj import make_array, populate_array

from analogep.solve.compiled import intrinsic


def _at(context, builder, signature, args, first, shape):  # type: ignore[no-untyped-def]
    """Build an array of contiguous numbers, from number ``first`` of the first argument on; it owns nothing."""
    result = signature.return_type
    whole = make_array(signature.args[0])(context, builder, args[0])
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(result.dtype)))
    strides = [size]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    out = make_array(result)(context, builder)
    populate_array(
        out,
        data=builder.gep(whole.data, [first]),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=size,
        meminfo=None,
    )
    return out._getvalue()


@intrinsic
def span(typingctx, numbers, start, stop):  # type: ignore[no-untyped-def]
    """Return numbers[start:stop] of a flat array."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        _, first, end = args
        return _at(context, builder, signature, args, first, [builder.sub(end, first)])

    return types.Array(numbers.dtype, 1, "C")(numbers, types.intp, types.intp), generate


@intrinsic
def matrix(typingctx, numbers, start, rows, columns):  # type: ignore[no-untyped-def]
    """Return the table (rows, columns) that begins at ``start`` of a flat array."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _at(context, builder, signature, args, args[1], list(args[2:]))

    return types.Array(numbers.dtype, 2, "C")(numbers, types.intp, types.intp, types.intp), generate


@intrinsic
def part(typingctx, rows, row, start, stop):  # type: ignore[no-untyped-def]
    """Return rows[row, start:stop] of a table."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        whole = make_array(signature.args[0])(context, builder, args[0])
        _, row, start, stop = args
        first = builder.add(builder.mul(row, builder.extract_value(whole.shape, 1)), start)
        return _at(context, builder, signature, args, first, [builder.sub(stop, start)])

    return types.Array(rows.dtype, 1, "C")(rows, types.intp, types.intp, types.intp), generate
