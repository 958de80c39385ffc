"""A site as a board asks for it: plain HTTP, no redirect followed, nothing compressed."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from slotbench.doctor.findings import Diagnosis, all_well, wrong
from slotbench.formats import FormatError
from slotbench.formats.document import split_document
from slotbench.formats.head import HEAD_BYTES_MAX, Head
from slotbench.release.store import head_name

__all__ = ["SiteAnswer", "ask_site"]

_TIMEOUT_S: Final = 10.0
_HOSTS: Final = "hosts that serve plain HTTP: host/docs/ci.md"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """What came back: the `finding`, the `head` where one came, and the server's clock in Unix seconds."""

    finding: Diagnosis
    head: Head | None = None
    server_s: float | None = None


def ask_site(server: str, product: str, channel: str, known: Head | None = None) -> SiteAnswer:
    """Ask a server (a board's setting) for a head. `known` is what the site here offers.

    Never raises for what the server does.
    """
    try:
        status, headers, body = _get(server, f"/{head_name(product, channel)}")
    except (OSError, http.client.HTTPException) as error:
        return SiteAnswer(_wrong(server, f"does not answer ({_reason(error)})", _no_answer_cure(server)))
    server_s = None
    try:
        server_s = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        pass
    if status in _REDIRECTS:
        where = headers.get("Location", "")
        return SiteAnswer(_wrong(
            server, f"redirects to {where}, and boards follow no redirect",
            f"switch the redirect off, or choose another host; {_HOSTS}"), server_s=server_s)
    if status != http.client.OK:
        words = http.client.responses.get(status, "")
        return SiteAnswer(_wrong(
            server, " ".join(f"answers {status} {words} for {product}/{channel}".split()),
            "publish the site there: copy its whole folder; check the path of the server"), server_s=server_s)
    if encoding := headers.get("Content-Encoding"):
        return SiteAnswer(_wrong(
            server, f"compresses what it sends ({encoding}), and boards cannot read it",
            "switch compression off for these files"), server_s=server_s)
    return SiteAnswer(*_compared(server, body, product, channel, known), server_s)


def _compared(
    server: str, body: bytes, product: str, channel: str, known: Head | None,
) -> tuple[Diagnosis, Head | None]:
    try:
        head = Head.from_payload(split_document(body).payload)
    except FormatError:
        return _wrong(
            server, "answers with something that is no head, such as a page of its own",
            f"check the path of the server; {_HOSTS}"), None
    if (head.product, head.channel) != (product, channel):
        return _wrong(
            server, f"serves a head of {head.product}/{head.channel} for {product}/{channel}",
            "copy the site there again"), head
    if known is not None and (head.epoch, head.seq) < (known.epoch, known.seq):
        return _wrong(
            server, f"offers an older head (seq {head.seq}, here {known.seq})",
            "copy the site there again; a cache in between must not keep heads"), head
    return all_well(
        "server", f"{server} offers {head.content()} for {head.audience()}, by plain HTTP"), head


def _get(server: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    parts = urlsplit(server)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT_S)
    try:
        connection.putrequest("GET", parts.path.rstrip("/") + path, skip_accept_encoding=True)
        connection.putheader("Connection", "close")
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read(HEAD_BYTES_MAX + 1)
    finally:
        connection.close()


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return f"nothing within {_TIMEOUT_S:.0f} s"
    return getattr(error, "strerror", None) or type(error).__name__


def _no_answer_cure(server: str) -> str:
    return f"start it: slotbench serve; or check name, port and firewall of {server}"


def _wrong(server: str, what: str, cure: str) -> Diagnosis:
    return wrong("server", f"{server} {what}", cure)
