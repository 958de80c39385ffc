"""hashlib, binascii, json, struct and the other modules that only work on data."""

from __future__ import annotations

import array
import binascii
import collections
import errno
import hashlib
import io
import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from slotbench.vboard.runtime import Runtime

__all__ = ["MODULES"]

# py/mperrno.h as modules list them.
_ERRNO: Final = (
    "EPERM", "ENOENT", "EIO", "EBADF", "EAGAIN", "ENOMEM", "EACCES", "EEXIST", "ENODEV", "EISDIR", "EINVAL",
    "EOPNOTSUPP", "EADDRINUSE", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "ENOTCONN", "ETIMEDOUT",
    "ECONNREFUSED", "EHOSTUNREACH", "EALREADY", "EINPROGRESS",
)
_MATH: Final = (
    "acos", "asin", "atan", "atan2", "ceil", "copysign", "cos", "degrees", "e", "exp", "fabs", "floor",
    "fmod", "frexp", "isfinite", "isinf", "isnan", "ldexp", "log", "modf", "pi", "pow", "radians", "sin",
    "sqrt", "tan", "trunc",
)


class _IOBase:
    """What a program's own streams are of. Not CPython's: that closes them by itself."""


class _BytesIO(io.BytesIO):
    """A number is room for so many bytes, which are not there yet."""

    def __init__(self, initial: Any = b"") -> None:
        super().__init__(b"" if isinstance(initial, int) else initial)


def _bytes_of(data: Any) -> Any:
    return data.encode() if isinstance(data, str) else data


class _Hash:
    """A running digest that can be asked once: no copy, no hexdigest, as on the port. A text is its bytes."""

    __slots__ = ("_hash",)
    _algorithm: Callable[..., Any]

    def __init__(self, data: Any = b"") -> None:
        self._hash: Any = self._algorithm(_bytes_of(data), usedforsecurity=False)

    def update(self, data: Any) -> None:
        self._live().update(_bytes_of(data))

    def digest(self) -> bytes:
        result: bytes = self._live().digest()
        self._hash = None
        return result

    def _live(self) -> Any:
        if self._hash is None:
            raise ValueError("hash is final")
        return self._hash


class _Sha256(_Hash):
    __slots__ = ()
    _algorithm = staticmethod(hashlib.sha256)


class _Sha1(_Hash):
    __slots__ = ()
    _algorithm = staticmethod(hashlib.sha1)


def _hashlib(rt: Runtime) -> Mapping[str, Any]:
    return {"sha256": _Sha256, "sha1": _Sha1}


def _a2b_base64(data: Any) -> bytes:
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        raise ValueError("incorrect padding") from None


def _unhexlify(data: Any) -> bytes:
    try:
        return binascii.unhexlify(data)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _binascii(rt: Runtime) -> Mapping[str, Any]:
    """Without crc32: the port leaves it out (MICROPY_PY_BINASCII_CRC32 0)."""
    return {
        "hexlify": binascii.hexlify,
        "unhexlify": _unhexlify,
        "a2b_base64": _a2b_base64,
        "b2a_base64": lambda data, *, newline=True: binascii.b2a_base64(data, newline=newline),
    }


def _refuse(constant: str) -> NoReturn:
    raise ValueError("syntax error in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _loads(text: Any) -> Any:
    try:
        return _DECODER.decode(text) if type(text) is str else json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("syntax error in JSON") from None


def _dumps(value: Any, separators: tuple[str, str] | None = None) -> str:
    return json.dumps(value, separators=separators, ensure_ascii=False)


def _json(rt: Runtime) -> Mapping[str, Any]:
    return {
        "loads": _loads,
        "load": lambda stream: _loads(stream.read()),
        "dumps": _dumps,
        "dump": lambda value, stream, separators=None: stream.write(_dumps(value, separators)) and None,
    }


def _pick(module: Any, *names: str) -> Mapping[str, Any]:
    return {name: getattr(module, name) for name in names}


def _errno(rt: Runtime) -> Mapping[str, Any]:
    numbers = _pick(errno, *_ERRNO)
    return {**numbers, "errorcode": {number: name for name, number in numbers.items()}}


MODULES = {
    "hashlib": _hashlib,
    "binascii": _binascii,
    "json": _json,
    "errno": _errno,
    "struct": lambda rt: _pick(struct, "calcsize", "pack", "pack_into", "unpack", "unpack_from"),
    "io": lambda rt: {"BytesIO": _BytesIO, "StringIO": io.StringIO, "IOBase": _IOBase},
    "collections": lambda rt: _pick(collections, "OrderedDict", "deque", "namedtuple"),
    "array": lambda rt: _pick(array, "array"),
    "math": lambda rt: _pick(math, *_MATH),
}
