"""Short vectors of float32 for numba: explicit SIMD, because its loop vectoriser loses a factor of four here.

A vector's length comes from the length of a *witness*, a tuple of that many integers: ``zero(witness)`` is the first
vector of a kernel, and the other constructors take any vector as ``like``. One source then serves 512-bit and
256-bit machines. Memory is addressed by byte addresses (``ndarray.ctypes.data``); callers keep the arrays alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

_CONTRACT = ("contract",)


intrinsic = cast("Callable[[Callable[..., Any]], Callable[..., Any]]", numba_intrinsic)
"""Callers of what it decorates do not pass the first argument, the typing context."""


class Vector(types.Type):
    """``lanes`` numbers of float32 in one register."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"float32x{lanes}")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, fe_type) -> None:
        super().__init__(manager, fe_type, ir.VectorType(ir.FloatType(), fe_type.lanes))


def _type(vector: Vector) -> ir.VectorType:
    return ir.VectorType(ir.FloatType(), vector.lanes)


def _splat(builder, value, like: Vector):
    undefined = ir.Constant(_type(like), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), like.lanes), None))


def _function(builder, name: str, like: Vector, arguments: int):
    signature = ir.FunctionType(_type(like), [_type(like)] * arguments)
    return cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}.v{like.lanes}f32")


@njit(forceinline=True)
def address(a):
    """Return where an array begins. (NumPy's is unsigned; adding a signed number to that would make a float.)"""
    return np.int64(a.ctypes.data)


@intrinsic
def zero(typing, witness):
    """Return the zero vector with as many lanes as the witness has elements."""
    vector = Vector(len(witness))
    return vector(witness), lambda context, builder, sig, args: ir.Constant(_type(sig.return_type), None)


@intrinsic
def splat(typing, value, like):
    """Return a vector of one repeated float32."""
    return like(types.float32, like), lambda context, builder, sig, args: _splat(builder, args[0], sig.return_type)


@intrinsic
def spread(typing, address, like):
    """Return a vector of the one float32 at an address."""

    def generate(context, builder, sig, args):
        value = builder.load(builder.inttoptr(args[0], ir.FloatType().as_pointer()))
        return _splat(builder, value, sig.return_type)

    return like(types.int64, like), generate


@intrinsic
def load(typing, address, like):
    """Read a vector from any address that is a multiple of four."""

    def generate(context, builder, sig, args):
        value = builder.load(builder.inttoptr(args[0], _type(sig.return_type).as_pointer()))
        value.align = 4
        return value

    return like(types.int64, like), generate


@intrinsic
def store(typing, address, value):
    """Write a vector to any address that is a multiple of four."""

    def generate(context, builder, sig, args):
        instruction = builder.store(args[1], builder.inttoptr(args[0], _type(sig.args[1]).as_pointer()))
        instruction.align = 4
        return context.get_dummy_value()

    return types.void(types.int64, value), generate


def _arithmetic(instruction: str):
    @intrinsic
    def operation(typing, x, y):
        def generate(context, builder, sig, args):
            return getattr(builder, instruction)(*args, flags=_CONTRACT)

        return x(x, x), generate

    return operation


add = _arithmetic("fadd")
sub = _arithmetic("fsub")
mul = _arithmetic("fmul")


@intrinsic
def fma(typing, x, y, z):
    """Return ``x * y + z``, rounded once."""

    def generate(context, builder, sig, args):
        return builder.call(_function(builder, "fma", sig.return_type, 3), args)

    return x(x, x, x), generate


@intrinsic
def fnma(typing, x, y, z):
    """Return ``z - x * y``, rounded once."""

    def generate(context, builder, sig, args):
        negative = builder.fneg(args[0])
        return builder.call(_function(builder, "fma", sig.return_type, 3), [negative, args[1], args[2]])

    return x(x, x, x), generate


@intrinsic
def lanes_of(typing, x):
    """Return how many lanes a vector has, a constant."""
    return types.int64(x), lambda context, builder, sig, args: ir.Constant(ir.IntType(64), sig.args[0].lanes)


@intrinsic
def sqrt(typing, x):
    """Return the correctly rounded square root."""
    return x(x), lambda context, builder, sig, args: builder.call(_function(builder, "sqrt", sig.return_type, 1), args)


def _bits(like: Vector) -> ir.VectorType:
    return ir.VectorType(ir.IntType(32), like.lanes)


def _on_bits(choose):
    """Make an operation on the numbers' bits, read as integers: other execution ports than multiplications need."""

    @intrinsic
    def operation(typing, x, y):
        def generate(context, builder, sig, args):
            a, b = (builder.bitcast(value, _bits(sig.return_type)) for value in args)
            return builder.bitcast(choose(builder, a, b), _type(sig.return_type))

        return x(x, x), generate

    return operation


largest = _on_bits(lambda builder, a, b: builder.select(builder.icmp_signed(">", a, b), a, b))
"""``largest(x, y)`` for numbers of which at most one is negative."""
smallest = _on_bits(lambda builder, a, b: builder.select(builder.icmp_signed("<", a, b), a, b))
"""``smallest(x, y)`` for numbers of which at most one is negative."""
keep = _on_bits(lambda builder, a, b: builder.and_(a, b))
"""``keep(x, mask)``: ``x`` where the mask has all bits set, 0 where it has none."""


@intrinsic
def where_negative(typing, x, a, b):
    """Return ``a`` in the lanes where ``x`` has its sign bit set, else ``b``."""

    def generate(context, builder, sig, args):
        bits = builder.bitcast(args[0], _bits(sig.return_type))
        return builder.select(builder.icmp_signed("<", bits, ir.Constant(bits.type, None)), args[1], args[2])

    return x(x, x, x), generate


@intrinsic
def add_at(typing, target, source):
    """Add the float32 at one address to that at another."""

    def generate(context, builder, sig, args):
        pointers = [builder.inttoptr(address, ir.FloatType().as_pointer()) for address in args]
        builder.store(builder.fadd(*map(builder.load, pointers)), pointers[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def copy(typing, target, source):
    """Copy one float32 from the second address to the first."""

    def generate(context, builder, sig, args):
        pointers = [builder.inttoptr(address, ir.FloatType().as_pointer()) for address in args]
        builder.store(builder.load(pointers[1]), pointers[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def total(typing, x):
    """Return the sum of all lanes, in the order of the lanes' halves."""

    def generate(context, builder, sig, args):
        vector, lanes = args[0], sig.args[0].lanes
        while lanes > 1:
            lanes //= 2
            halves = [
                builder.shuffle_vector(
                    vector,
                    ir.Constant(vector.type, ir.Undefined),
                    ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(start, start + lanes))),
                )
                for start in (0, lanes)
            ]
            vector = builder.fadd(*halves)
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float32(x), generate
