"""The pages about boards: the list with its search, and one board's life."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

from flask import Flask, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from slotbench.fleet.audit_log import name_board
from slotbench.fleet.board_list import (
    BoardEntry,
    BoardFilter,
    BoardHealth,
    count_boards,
    find_board,
    late_after,
    list_boards,
    list_entries,
    list_profiles,
)
from slotbench.fleet.board_words import view_words
from slotbench.fleet.cockpit.asked import asked_number, asked_text, require_signer
from slotbench.fleet.cockpit.guard import signed_in
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi.targets import said_of_itself
from slotbench.fleet.installs import ask_install, cancel_install, list_installs
from slotbench.fleet.offers import newest_heads, signing_process

__all__ = ["add_board_pages", "asked_filter"]

_PAGE = 50
_FILTER = ("search", "state", "product", "channel", "board", "running", "gave_up", "gave_up_app")
_HISTORY = 60


def asked_filter(limit: int = _PAGE) -> BoardFilter:
    """The boards that the current request asks for. What makes no sense in it is left out."""
    state = asked_text("state", 16)
    return BoardFilter(
        search=asked_text("search", 100), after=asked_text("after", 64), limit=limit,
        state=BoardHealth(state) if state in set(BoardHealth) else None,
        product=asked_text("product", 32), channel=asked_text("channel", 32), board=asked_text("board", 32),
        running=asked_number("running"), gave_up=asked_number("gave_up"),
        gave_up_app=asked_number("gave_up_app"))


def add_board_pages(app: Flask, database: FleetDatabase, now: Callable[[], int]) -> None:
    """Add the pages. `now` gives Unix seconds."""

    @app.get("/boards")
    def boards() -> str:
        """Boards, searched and filtered."""
        wanted = asked_filter()
        with database.reading() as connection:
            late_s = late_after(connection)
            found = list_boards(connection, wanted, now(), late_s)
            number = count_boards(connection, wanted, now(), late_s)
            profiles = list_profiles(connection)
        return render_template(
            "boards.html", boards=found, number=number, wanted=wanted, is_full=len(found) == _PAGE,
            profiles=profiles, query={
                name: getattr(wanted, name) or None
                for name in _FILTER})

    @app.get("/board")
    def board() -> str:
        """One board."""
        device_id, before = asked_text("id", 64), asked_number("before")
        with database.reading() as connection:
            found = find_board(connection, device_id, now(), late_after(connection))
            if found is None:
                abort(HTTPStatus.NOT_FOUND)
            history = list_entries(connection, device_id, found.product, limit=_HISTORY, before=before)
            newest = [
                head for head in newest_heads(connection)
                if (head.product, head.channel) == (found.product, found.channel)]
            asked = [each for each in list_installs(connection) if each.device_id == device_id]
            signer = signing_process(connection, now())
            said = said_of_itself(connection, device_id)
        newer = [head for head in newest if head.counter > found.running and not head.paused]
        return render_template(
            "board.html", board=found, sentences=view_words(found, now())[1:], days=_days(history),
            newer=newer[0] if newer else None, asked=asked[0] if asked else None, signer=signer, said=said,
            has_refused=bool(newer) and (found.state, found.report_counter) == (
                BoardHealth.TROUBLE, newer[0].counter),
            is_listed=any(device_id in head.devices for head in newest),
            oldest=history[-1].id if len(history) == _HISTORY else None)

    @app.post("/board")
    def change_board() -> Response:
        """Name a board."""
        device_id = "".join(filter(str.isprintable, request.form.get("id", "")))
        with database.writing() as connection:
            name_board(
                connection, signed_in(), now(), device_id, name=request.form.get("name", ""),
                place=request.form.get("place", ""))
        return redirect(url_for("board", id=device_id), HTTPStatus.SEE_OTHER)

    @app.post("/board/<any(install, cancel):what>")
    def ask_board(what: str) -> Response:
        """Ask that a board has what its channel offers, or that it is listed no more."""
        device_id = "".join(filter(str.isprintable, request.form.get("id", "")))
        option = "" if what == "install" else " --cancel"
        with database.writing() as connection:
            require_signer(connection, now(), f"slotbench fleet install {device_id}{option}")
            ask = ask_install if what == "install" else cancel_install
            ask(connection, signed_in(), now(), device_id)
        return redirect(url_for("board", id=device_id), HTTPStatus.SEE_OTHER)


def _days(history: list[BoardEntry]) -> list[tuple[int, list[BoardEntry]]]:
    """The entries of each day (UTC), with a time of it."""
    groups = itertools.groupby(history, key=lambda entry: datetime.fromtimestamp(entry.at, UTC).date())
    days = [list(entries) for _, entries in groups]
    return [(entries[0].at, entries) for entries in days]
