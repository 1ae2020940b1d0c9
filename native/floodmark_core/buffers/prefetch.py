"""Prefetch an array element into the processor's cache without waiting for it.

An index beyond the array's end is harmless: it is a hint, and nothing is read.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_declared: Any = cgutils.get_or_insert_function


@intrinsic
def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:  # noqa: ANN401, ARG001 - Numba's calling convention
    """Emit LLVM's prefetch of the cache line in which an array's element begins: for reading, into all levels."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(view.data, [arguments[1]]), byte)
        hint = _declared(builder.module, ir.FunctionType(ir.VoidType(), [byte, number, number, number]), "llvm.prefetch.p0")
        builder.call(hint, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), code


prefetch: Any = _prefetch  # called with an array and an int64; the type stubs of intrinsics expect a third argument
