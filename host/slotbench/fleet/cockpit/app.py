"""The application of the cockpit: its pages, and what the whole of it knows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from flask import Flask, Response, g, redirect, render_template, request, session, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from slotbench.errors import BenchError
from slotbench.fleet import board_words
from slotbench.fleet.access_tokens import AccessRole
from slotbench.fleet.audit_log import list_audit
from slotbench.fleet.board_list import BoardEntry, BoardFilter, BoardHealth, late_after, list_boards
from slotbench.fleet.cockpit.api import add_api
from slotbench.fleet.cockpit.asked import asked_number
from slotbench.fleet.cockpit.board_pages import add_board_pages
from slotbench.fleet.cockpit.guard import CockpitGuard
from slotbench.fleet.cockpit.metrics import add_metrics
from slotbench.fleet.cockpit.openapi import add_openapi
from slotbench.fleet.cockpit.pictures import channel_bars, health_bar, rollout_picture
from slotbench.fleet.cockpit.release_pages import add_release_pages
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.offers import OfferedHead, fleet_stamp, latest_entries, newest_heads, signing_process
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_store import open_rollouts
from slotbench.fleet.summary import summarize

__all__ = ["Cockpit", "create_cockpit"]

_LIVE_MS = 4000
_WARNED_S = 7 * 86400
_LATEST_ASKED, _LATEST_SHOWN = 60, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cockpit:
    """What the pages show. `clock` gives Unix seconds; `site` is the folder that is served.

    `public_url` is where a reverse proxy offers the pages; None without one. `recorder` is that of this
    process, for its numbers.
    """

    database: FleetDatabase
    site: Path
    clock: Callable[[], float]
    public_url: str | None = None
    recorder: BoardRecorder | None = None

    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock())


def create_cockpit(cockpit: Cockpit) -> Flask:
    """The application with all pages, behind a login."""
    app = Flask(__name__)
    guard = CockpitGuard(cockpit.database, cockpit.clock, cockpit.public_url)
    guard.install(app)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    _add_words(app, cockpit)
    _add_login(app, guard)
    _add_overview(app, cockpit)
    add_board_pages(app, cockpit.database, cockpit.now)
    add_release_pages(app, cockpit.database, cockpit.site, cockpit.now)
    add_api(app, cockpit.database, cockpit.now)
    add_openapi(app)
    add_metrics(app, cockpit.database, cockpit.recorder, cockpit.now)

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response | tuple[str, int]:
        """What cannot be shown, as a page."""
        if request.path.startswith("/api/"):
            return Response(f"{error.name}\n", error.code, mimetype="text/plain")
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        what = status.description or status.phrase
        if status is HTTPStatus.NOT_FOUND:
            what = "no page, board, release or rollout is known by this address"
        return render_template("problem.html", status=status, what=what), status

    @app.errorhandler(BenchError)
    def tell(error: BenchError) -> tuple[str, int]:
        """What somebody asked for and cannot have, as a page."""
        return render_template(
            "problem.html", status=HTTPStatus.CONFLICT, what=error.what, where=error.where,
            cure=error.cure), HTTPStatus.CONFLICT

    return app


def _add_words(app: Flask, cockpit: Cockpit) -> None:
    """What all templates may use."""
    app.jinja_env.filters.update(
        when=lambda at: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC",
        clock=lambda at: f"{datetime.fromtimestamp(at, UTC):%H:%M}",
        day=lambda at: f"{datetime.fromtimestamp(at, UTC):%A, %-d %B %Y}",
        ago=lambda at: board_words.ago_words(cockpit.now() - at),
        left=lambda at: board_words.duration_words(max(0, at - cockpit.now())),
        group=lambda number: f"{number:,}",
        kilobytes=lambda number: f"{number / 1024:.1f} KB" if number < 102_400 else f"{number // 1024} KB",
        lasting=board_words.duration_words, entry=board_words.entry_words,
        release=lambda view: board_words.release_words(view.counter, view.version))

    app.jinja_env.tests["trouble"] = board_words.is_trouble

    def expiring_heads() -> list[OfferedHead]:
        with cockpit.database.reading() as connection:
            heads = newest_heads(connection)
        return [head for head in heads if head.expires < cockpit.now() + _WARNED_S]

    @app.context_processor
    def known() -> dict[str, object]:
        login = g.get("login")
        return {
            "login": login, "csrf": session.get("csrf", ""), "now": cockpit.now(),
            "expiring_heads": expiring_heads,
            "may_change": login is not None and login.role is AccessRole.OPERATOR,
            "states": list(BoardHealth), "state_words": board_words.STATE_WORDS}


def _add_login(app: Flask, guard: CockpitGuard) -> None:
    @app.get("/login")
    def login() -> str:
        """The page that asks for a token."""
        return render_template("login.html", next=_local(request.args.get("next", "")))

    @app.post("/login")
    def log_in() -> tuple[str, int] | BaseResponse:
        """Begin a session."""
        target = _local(request.form.get("next", ""))
        if guard.log_in(request.form.get("token", "")):
            return redirect(target or url_for("overview"), HTTPStatus.SEE_OTHER)
        return render_template("login.html", next=target, is_wrong=True), HTTPStatus.FORBIDDEN

    @app.post("/logout")
    def log_out() -> BaseResponse:
        """End the session."""
        guard.log_out()
        return redirect(url_for("login"), HTTPStatus.SEE_OTHER)


def _add_overview(app: Flask, cockpit: Cockpit) -> None:
    @app.get("/")
    def overview() -> str:
        """The fleet at a glance."""
        now = cockpit.now()
        with cockpit.database.reading() as connection:
            late_s = late_after(connection)
            summary = summarize(connection, now, late_s)
            under_way = open_rollouts(connection)
            return render_template(
                "overview.html", summary=summary, bars=channel_bars(summary.running),
                health=health_bar(summary.states), heads=newest_heads(connection),
                rollouts=[rollout_picture(connection, each, now, late_s) for each in under_way[:5]],
                looked_at=[
                    board for state in (BoardHealth.TROUBLE, BoardHealth.LATE) if summary.states[state]
                    for board in list_boards(connection, BoardFilter(state=state, limit=6), now, late_s)],
                latest=_told_once(latest_entries(connection, _LATEST_ASKED)),
                signer=signing_process(connection, now))

    @app.get("/live")
    def live() -> Response:
        """One event: whether pages would look different. The browser asks again; no thread waits for it."""
        with cockpit.database.reading() as connection:
            stamp = fleet_stamp(connection)
        return Response(f"retry: {_LIVE_MS}\nid: {stamp}\ndata: {stamp}\n\n", mimetype="text/event-stream")

    @app.get("/audit")
    def audit() -> str:
        """Who did what, and when."""
        with cockpit.database.reading() as connection:
            entries = list_audit(connection, before=asked_number("before"))
        return render_template("audit.html", entries=entries)


def _told_once(
    entries: list[tuple[str, str, BoardEntry]],
) -> list[tuple[str, str, BoardEntry, int]]:
    """Entries that follow one another and say the same are one, with the number of the other boards."""
    groups = itertools.groupby(entries, key=lambda each: board_words.entry_words(each[2]))
    found = [list(group) for _, group in groups]
    return [
        (*group[0], len({device_id for device_id, _, _ in group}) - 1) for group in found[:_LATEST_SHOWN]]


def _local(target: str) -> str:
    """A target inside the cockpit; empty for any other."""
    inside = target.startswith("/") and not target.startswith("//")
    return target if inside and "\\" not in target and target.isprintable() else ""
