"""The position of a memoryview inside its object, which Python code cannot ask CPython for."""

from __future__ import annotations

import ctypes
from typing import Any

__all__ = ["offset_in_object"]

_get = ctypes.pythonapi.PyObject_GetBuffer
_get.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
_get.restype = ctypes.c_int
_release = ctypes.pythonapi.PyBuffer_Release
_release.argtypes = (ctypes.c_void_p,)
_release.restype = None

_PYBUF_SIMPLE = 0
_PYBUF_BYTES = 256
"""More than any CPython's Py_buffer; its first field is the address."""


def offset_in_object(view: memoryview) -> int:
    """Bytes from the start of `view.obj` to the first byte of a contiguous `view`."""
    if view.nbytes in (0, memoryview(view.obj).nbytes):
        return 0
    return _address(view) - _address(view.obj)


def _address(data: Any) -> int:
    buffer = (ctypes.c_void_p * (_PYBUF_BYTES // ctypes.sizeof(ctypes.c_void_p)))()
    _get(data, ctypes.addressof(buffer), _PYBUF_SIMPLE)
    address = buffer[0] or 0
    _release(ctypes.addressof(buffer))
    return address
