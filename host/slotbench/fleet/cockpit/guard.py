"""What stands before every page: the name that was asked for, the login, CSRF, limits, and safe headers."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, request, session, url_for
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as BaseResponse

from slotbench.fleet.access_tokens import AccessRole, AccessToken, check_token, find_token, session_key
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.database import FleetDatabase

__all__ = ["CockpitGuard", "EndedSessions", "RateLimit", "SESSION_S", "signed_in"]

SESSION_S: Final = 12 * 3600
"""How long a login lasts."""
_CSP: Final = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
_OTHER_NAME: Final = (
    "The cockpit answers to its IP address, to localhost, and to the name in `serve --cockpit-url`.")
_OPEN: Final = frozenset({"login", "log_in", "static"})
_LOGINS, _LOGINS_S = 10, 300
_CHANGES, _CHANGES_S = 60, 60
_ADDRESSES_MAX: Final = 10_000

_log = logging.getLogger(__name__)


class RateLimit:
    """At most `most` events of one kind in `seconds`. `clock` counts seconds."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def is_exceeded(self, who: str) -> bool:
        """Whether there were too many of them. Counts nothing."""
        with self._lock:
            return len(self._recent(who)) >= self._most

    def count(self, who: str) -> None:
        """Count one more."""
        with self._lock:
            times = self._recent(who)
            times.append(self._clock())
            self._times[who] = times
            self._times.move_to_end(who)
            if len(self._times) > _ADDRESSES_MAX:
                self._times.popitem(last=False)

    def _recent(self, who: str) -> deque[float]:
        times = self._times.get(who, deque())
        while times and times[0] <= self._clock() - self._seconds:
            times.popleft()
        return times


class EndedSessions:
    """Sessions that were logged out of: their cookies would be valid until SESSION_S is over.

    They are known until the server ends.
    """

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def end(self, name: str, now: float) -> None:
        """End a session at `now`, in seconds."""
        with self._lock:
            self._until[name] = now + SESSION_S
            while len(self._until) > _ADDRESSES_MAX or next(iter(self._until.values())) <= now:
                self._until.popitem(last=False)

    def has(self, name: str) -> bool:
        """Whether this session ended."""
        return name in self._until


@dataclass(frozen=True, slots=True)
class CockpitGuard:
    """Guards an application. `public_url` is where a reverse proxy offers the cockpit; None without one.

    Only with `public_url` do X-Forwarded-For and X-Forwarded-Proto count, of the one proxy in front.
    """

    database: FleetDatabase
    clock: Callable[[], float]
    public_url: str | None = None
    logins: RateLimit = field(default_factory=lambda: RateLimit(_LOGINS, _LOGINS_S))
    changes: RateLimit = field(default_factory=lambda: RateLimit(_CHANGES, _CHANGES_S))
    ended: EndedSessions = field(default_factory=EndedSessions)

    def install(self, app: Flask) -> None:
        """Put it before every request of `app`, and its headers behind."""
        is_https = (self.public_url or "").startswith("https:")
        with self.database.writing() as connection:
            app.secret_key = session_key(connection)
        app.config.update(
            SESSION_COOKIE_NAME="__Host-twoslot" if is_https else "twoslot", SESSION_COOKIE_SECURE=is_https,
            SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Strict", MAX_CONTENT_LENGTH=16 * 1024,
            MAX_FORM_PARTS=50)
        if self.public_url is not None:
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]
        app.before_request(self._check)
        app.after_request(lambda response: _with_headers(response, is_https))

    def log_in(self, token: str) -> bool:
        """Begin a session with this token; False if it is wrong. Too many wrong ones end in status 429."""
        address = request.remote_addr or ""
        if self.logins.is_exceeded(address):
            abort(HTTPStatus.TOO_MANY_REQUESTS)
        found = self._checked(token, address)
        if found is None:
            return False
        session.clear()
        session.update(token=found.id, at=int(self.clock()), csrf=secrets.token_urlsafe(16))
        with self.database.writing() as connection:
            record_action(connection, Actor(found.label, address), int(self.clock()), "login", found.label)
        return True

    def log_out(self) -> None:
        """End the session: whoever has a copy of its cookie is out, too."""
        self.ended.end(str(session.get("csrf", "")), self.clock())
        session.clear()

    def _checked(self, token: str, address: str) -> AccessToken | None:
        with self.database.reading() as connection:
            found = check_token(connection, token)
        if found is None:
            self.logins.count(address)
            _log.warning("%s: login refused", address)
        return found

    def _check(self) -> BaseResponse | None:
        if not self._is_known_host(urlsplit(f"//{request.host}").hostname or ""):
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST, _OTHER_NAME)
        # What a browser says of other sites' requests; those that say nothing are held up by the cookie.
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") not in (
                "same-origin", "none"):
            return _refusal(HTTPStatus.FORBIDDEN)
        g.login = None
        if request.endpoint in _OPEN:
            return None
        bearer = request.headers.get("Authorization", "")
        if bearer.startswith("Bearer "):
            return self._check_bearer(bearer.removeprefix("Bearer "))
        g.login = self._session_login()
        if g.login is None:
            session.clear()
            if request.path.startswith("/api/") or request.path in ("/live", "/metrics"):
                return _refusal(HTTPStatus.UNAUTHORIZED)
            here = request.full_path.rstrip("?") if request.method == "GET" else "/"
            return redirect(url_for("login", next=here if here != "/" else None), HTTPStatus.SEE_OTHER)
        return self._check_change() if request.method == "POST" else None

    def _check_bearer(self, token: str) -> BaseResponse | None:
        address = request.remote_addr or ""
        if self.logins.is_exceeded(address):
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS)
        g.login = self._checked(token, address)
        if g.login is None:
            return _refusal(HTTPStatus.UNAUTHORIZED)
        return self._check_role()

    def _check_change(self) -> BaseResponse | None:
        expected = str(session.get("csrf", ""))
        if not expected or not secrets.compare_digest(
                request.form.get("csrf", "").encode(), expected.encode()):
            return _refusal(HTTPStatus.FORBIDDEN)
        return None if request.endpoint == "log_out" else self._check_role()

    def _check_role(self) -> BaseResponse | None:
        """Refuse a change of somebody who may not change anything, or of one who changes too much."""
        if request.method != "POST":
            return None
        if g.login.role is not AccessRole.OPERATOR:
            return _refusal(HTTPStatus.FORBIDDEN)
        if self.changes.is_exceeded(g.login.label):
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS)
        self.changes.count(g.login.label)
        return None

    def _session_login(self) -> AccessToken | None:
        number, at = session.get("token"), session.get("at", 0)
        if not isinstance(number, int) or not 0 <= self.clock() - at < SESSION_S:
            return None
        if self.ended.has(str(session.get("csrf", ""))):
            return None
        with self.database.reading() as connection:
            return find_token(connection, number)

    def _is_known_host(self, name: str) -> bool:
        """Whether this name can be meant: an address, this computer, or the name of the proxy.

        A page of a stranger that had its name point here (DNS rebinding) asks for that name.
        """
        if name == "localhost" or name == urlsplit(self.public_url or "").hostname:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def signed_in() -> Actor:
    """Who sends the current request."""
    return Actor(g.login.label, request.remote_addr or "")


def _with_headers(response: Response, is_https: bool) -> Response:
    response.headers["Content-Security-Policy"] = _CSP
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers.setdefault("Cache-Control", "no-store")
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "public, max-age=3600"
    if is_https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def _refusal(status: HTTPStatus, words: str = "") -> Response:
    return Response(f"{words or status.phrase}\n", status, mimetype="text/plain")
