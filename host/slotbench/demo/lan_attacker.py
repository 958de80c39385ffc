"""The attacker on the LAN of `slotbench demo --attacks`, at the push port of a board (FORMATS.md).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time

__all__ = ["LanAttacker"]

_PATIENCE_S = 10.0
_AGAIN_S = 0.02

_Address = tuple[str, int]


class LanAttacker:
    """An attacker on the same network; `last_push` is the last push that was sent there."""

    def __init__(self) -> None:
        self.last_push = b""

    def push(self, address: _Address, document: bytes, secret: bytes) -> None:
        """Push a release with this secret. Only its document is sent: what is refused gets no
        further.
        """
        greeting = _send_request(address, b"GET /twoslot HTTP/1.1\r\n\r\n").rpartition(b"\r\n\r\n")[2]
        nonce = json.loads(greeting)["nonce"]
        signed = ["POST", "/twoslot/release", nonce, hashlib.sha256(document).hexdigest()]
        mac = hmac.digest(secret, "\n".join(signed).encode(), "sha256").hex()
        head = (
            "POST /twoslot/release HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
            f"Twoslot-Document: {len(document)}\r\n"
            f'Authorization: Twoslot nonce="{nonce}", mac="{mac}"\r\n\r\n')
        self.last_push = head.encode() + b"%x\r\n" % len(document) + document
        _send_request(address, self.last_push)

    def push_again(self, address: _Address) -> None:
        """Send the last push again, byte for byte."""
        _send_request(address, self.last_push)


def _send_request(address: _Address, request: bytes) -> bytes:
    """The board's whole response to a request; empty if the board does not listen in time."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            with socket.create_connection(address, _PATIENCE_S) as connection:
                connection.sendall(request)
                answer = b""
                while piece := connection.recv(4096):
                    answer += piece
                return answer
        except ConnectionError:
            time.sleep(_AGAIN_S)
    return b""
