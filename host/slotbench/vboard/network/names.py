"""What a name server says to one question (RFC 1035): the address of a name, and nothing of another kind."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from typing import Final

from slotbench.vboard.signals import DeviceOSError

__all__ = ["answer_names"]

_HEAD: Final = 12
_A, _INTERNET = 1, 1
_TTL_S: Final = 60
_UNKNOWN: Final = -2
_NO_SUCH_NAME: Final = 3


def answer_names(request: bytes, resolve: Callable[[str], str]) -> bytes | None:
    """The answer to a datagram: `resolve` gives the address of a name, or raises DeviceOSError(-2).

    None where it is no question, or `resolve` fails in another way: the server is silent then.
    """
    if len(request) < _HEAD or request[4:6] != b"\0\1":
        return None
    end = request.find(b"\0", _HEAD)
    question = request[_HEAD : end + 5]
    if end < 0 or len(question) < 5:
        return None
    record, code = b"", 0
    try:
        if int.from_bytes(question[-4:-2], "big") == _A:
            address = ipaddress.IPv4Address(resolve(_name(question))).packed
            record = struct.pack(">HHHIH", 0xC00C, _A, _INTERNET, _TTL_S, 4) + address
    except DeviceOSError as error:
        if error.errno != _UNKNOWN:
            return None
        code = _NO_SUCH_NAME
    return request[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, bool(record), 0, 0) + question + record


def _name(question: bytes) -> str:
    labels, at = [], 0
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode("latin-1"))
        at += question[at] + 1
    return ".".join(labels)
