"""Vectors of a cache line of numbers, for the loops whose every instruction counts.

A loop that the compiler turns into vectors itself first asks whether its arrays overlap, comes in a copy for the
case that they do and another for the last columns, and takes long to compile. What is said in vectors needs none
of this: the layout fills whole ones. Where the processor's own are shorter, the compiler uses several for one.
"""

# mypy: allow-untyped-calls, allow-untyped-defs, allow-subclassing-any
from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from analogep.learning.fused.layout import CACHE_LINE
from analogep.solve.compiled import ELEMENTWISE, intrinsic

_FLAGS = tuple(sorted(ELEMENTWISE))


class Vector(types.Type):
    """The type of a vector, for the compiler."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.count = dtype, 8 * CACHE_LINE // dtype.bitwidth
        super().__init__(name=f"vector({dtype})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.count))


def _declare(operation: Any, instruction: str) -> None:
    """Let an operator work on two vectors."""

    class Template(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    infer_global(operation)(Template)

    @lower_builtin(operation, Vector, Vector)
    def lower(context, builder, signature, args):
        return getattr(builder, instruction)(*args, flags=_FLAGS)


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _declare(_operation, _instruction)


def _address(context, builder, kind, numbers, index):
    """Return where the vector that begins at number ``index`` lies."""
    data = builder.gep(context.make_array(kind)(context, builder, numbers).data, [index])
    vector = ir.VectorType(context.get_data_type(kind.dtype), 8 * CACHE_LINE // kind.dtype.bitwidth)
    return builder.bitcast(data, vector.as_pointer())


@intrinsic
def per_vector(typingctx, numbers):
    """Return how many of such numbers are a vector."""

    def generate(context, builder, signature, args):
        return context.get_constant(types.intp, 8 * CACHE_LINE // numbers.dtype.bitwidth)

    return types.intp(numbers), generate


@intrinsic
def get(typingctx, numbers, index):
    """Return the vector that begins at number ``index`` of contiguous numbers."""
    align = numbers.dtype.bitwidth // 8

    def generate(context, builder, signature, args):
        return builder.load(_address(context, builder, signature.args[0], *args), align=align)

    return Vector(numbers.dtype)(numbers, types.intp), generate


@intrinsic
def put(typingctx, numbers, index, vector):
    """Set the vector that begins at number ``index`` of contiguous numbers."""
    align = numbers.dtype.bitwidth // 8

    def generate(context, builder, signature, args):
        builder.store(args[2], _address(context, builder, signature.args[0], *args[:2]), align=align)
        return context.get_dummy_value()

    return types.none(numbers, types.intp, vector), generate


@intrinsic
def spread(typingctx, number):
    """Return a vector that is ``number`` throughout."""
    count, index = 8 * CACHE_LINE // number.bitwidth, ir.IntType(32)

    def generate(context, builder, signature, args):
        blank = ir.Constant(ir.VectorType(args[0].type, count), ir.Undefined)
        one = builder.insert_element(blank, args[0], index(0))
        return builder.shuffle_vector(one, blank, ir.Constant(ir.VectorType(index, count), [0] * count))

    return Vector(number)(number), generate


@intrinsic
def fused(typingctx, a, b, c):
    """Return a b + c, rounded once where the processor can."""

    def generate(context, builder, signature, args):
        return builder.fadd(builder.fmul(args[0], args[1], flags=_FLAGS), args[2], flags=_FLAGS)

    return a(a, b, c), generate


@intrinsic
def fused_less(typingctx, a, b, c):
    """Return a b − c, rounded once where the processor can."""

    def generate(context, builder, signature, args):
        return builder.fsub(builder.fmul(args[0], args[1], flags=_FLAGS), args[2], flags=_FLAGS)

    return a(a, b, c), generate


def _extreme(condition: str, text: str) -> Any:
    def of_two(typingctx, a, b):
        def generate(context, builder, signature, args):
            return builder.select(builder.fcmp_ordered(condition, *args, flags=_FLAGS), *args, flags=_FLAGS)

        return a(a, b), generate

    of_two.__doc__ = text
    return intrinsic(of_two)


larger = _extreme(
    ">", "Return the larger of two numbers but NaN, or of two vectors' place by place; loops become vectors."
)
smaller = _extreme("<", "Return the smaller of two numbers but NaN, or of two vectors' place by place.")
