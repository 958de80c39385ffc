"""A client of a hawkBit server: polls, downloads, feedback. What the server answers is not trusted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from slotbench import __version__
from slotbench.errors import USAGE, BenchError
from slotbench.untrusted import load_json

__all__ = ["DdiClient", "DdiError", "ServerAnswer"]

_JSON_BYTES_MAX: Final = 256 * 1024
_WAIT_S: Final = 30.0
_LONGEST_S: Final = 600.0
_PIECE: Final = 64 * 1024
_SLEEP_S = (30, 86400)


class DdiError(BenchError):
    """The server cannot be asked, or answers what it should not. `status` is that of HTTP; 0 without one."""

    def __init__(self, what: str, where: str, cure: str, status: int = 0) -> None:
        super().__init__(what, where=where, cure=cure, exit_code=USAGE)
        self.status = status


class _AnsweredRedirects(HTTPRedirectHandler):
    """A redirect is an answer: the token goes nowhere else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str,
    ) -> None:
        return None


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What a poll is answered: seconds until the next one, and the links by their names."""

    sleep_s: int
    links: Mapping[str, str]


class DdiClient:
    """Speaks with the server at `url` as the device `device_id` of `tenant`.

    `authorization` is the header with the token. It is sent to that server only. Downloads may come from
    `other_hosts` too; links to any other place are refused. `clock` counts seconds.
    """

    def __init__(
        self, url: str, tenant: str, device_id: str, authorization: str, other_hosts: Collection[str] = (), *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = f"{url.rstrip('/')}/{quote(tenant, safe='')}/controller/v1/{quote(device_id, safe='')}"
        self._origin = _origin(self.address)
        self._authorization = authorization
        self._other_hosts = frozenset(other_hosts)
        self._clock = clock
        self._opener = build_opener(_AnsweredRedirects)

    def poll(self) -> ServerAnswer:
        """Ask what there is to do. All methods raise DdiError."""
        found = self.get_json(self.address)
        polling = _object(_object(found.get("config")).get("polling"))
        links = {
            name: urljoin(self.address, str(_object(link).get("href", "")))
            for name, link in _object(found.get("_links")).items()}
        return ServerAnswer(_seconds(str(polling.get("sleep", ""))), links)

    def get_json(self, link: str) -> dict[str, Any]:
        """The object at a link."""
        data = self._ask("GET", link, None, _JSON_BYTES_MAX)
        try:
            found = load_json(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._wrong("its answer is no JSON object", link)
        return found

    def send(self, method: str, link: str, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self._ask(method, link, json.dumps(message).encode(), _JSON_BYTES_MAX)

    def say(self, action: str, execution: str, finished: str = "none", *details: str) -> None:
        """Send feedback about an action, by its link."""
        parts = urlsplit(action)
        self.send("POST", parts._replace(path=f"{parts.path}/feedback", query="").geturl(), {
            "id": parts.path.rpartition("/")[2],
            "status": {"execution": execution, "result": {"finished": finished}, "details": list(details)}})

    def download(self, link: str, size_max: int) -> bytes:
        """The bytes of a file that has at most `size_max`."""
        return self._ask("GET", link, None, size_max)

    def _ask(self, method: str, link: str, body: bytes | None, size_max: int) -> bytes:
        is_own = _origin(link) == self._origin
        if not is_own and (urlsplit(link).hostname not in self._other_hosts or body is not None):
            raise DdiError(
                "a link leads to another server", link,
                "if it is meant, allow that host: --downloads-from HOST")
        headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": f"twoslot/{__version__}"}
        if is_own:
            headers["Authorization"] = self._authorization
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            with self._opener.open(Request(link, body, headers, method=method), timeout=_WAIT_S) as answer:
                return self._read(answer, link, size_max)
        except HTTPError as error:
            error.close()
            cure = "check the tenant, the device id and the token" if error.code in (401, 403, 404) else (
                "look at that server's log")
            raise DdiError(f"it answers with status {error.code}", link, cure, error.code) from None
        except (OSError, HTTPException, ValueError) as error:
            why = str(getattr(error, "reason", None) or error) or type(error).__name__
            raise DdiError(
                f"the server cannot be asked ({why})", link, "check the URL and the network") from None

    def _read(self, answer: HTTPResponse, link: str, size_max: int) -> bytes:
        """The body. No server takes more memory or time than it may."""
        ends, data = self._clock() + _LONGEST_S, bytearray()
        while piece := answer.read1(_PIECE):
            data += piece
            if len(data) > size_max:
                raise self._wrong(f"it sends more than {size_max} bytes", link)
            if self._clock() > ends:
                raise self._wrong(f"it sends for longer than {_LONGEST_S:.0f} s", link)
        if answer.length:
            raise self._wrong(f"{answer.length} bytes are missing", link)
        return bytes(data)

    def _wrong(self, what: str, link: str) -> DdiError:
        return DdiError(what, link, "look at that server's log, or at what is before it")


def _origin(link: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port. Raises DdiError for what is no link of HTTP."""
    try:
        parts = urlsplit(link)
        if parts.scheme in ("http", "https") and parts.hostname and parts.username is None:
            return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        pass
    raise DdiError("this is no link of HTTP", link[:200], "give http://HOST or https://HOST")


def _seconds(sleep: str) -> int:
    """HH:MM:SS in seconds, never too few or too many."""
    parts = sleep.split(":")
    low, high = _SLEEP_S
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 4 for part in parts):
        return 300
    hours, minutes, seconds = map(int, parts)
    return min(max(low, 3600 * hours + 60 * minutes + seconds), high)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
