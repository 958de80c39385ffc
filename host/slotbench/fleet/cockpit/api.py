"""What programs read of the fleet: JSON, with a token as `Authorization: Bearer`."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, Response, abort, jsonify

from slotbench.fleet.board_list import (
    count_boards,
    find_board,
    late_after,
    list_boards,
    list_entries,
)
from slotbench.fleet.cockpit.asked import asked_number, asked_text
from slotbench.fleet.cockpit.board_pages import asked_filter
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.offers import list_releases_of, newest_heads
from slotbench.fleet.rollout_store import list_rollouts
from slotbench.fleet.summary import summarize

__all__ = ["add_api"]

_LIMIT, _LIMIT_MAX = 100, 1000


def add_api(app: Flask, database: FleetDatabase, now: Callable[[], int]) -> None:
    """Add the addresses below /api/. `now` gives Unix seconds."""

    @app.get("/api/fleet")
    def api_fleet() -> Response:
        """The numbers of the fleet, and what is offered."""
        with database.reading() as connection:
            summary = summarize(connection, now(), late_after(connection))
            return jsonify(
                total=summary.total, states=dict(summary.states), running=summary.running,
                heads=newest_heads(connection))

    @app.get("/api/boards")
    def api_boards() -> Response:
        """Boards, as /boards finds them; `limit` of them, behind the device id `after`."""
        wanted = asked_filter(min(max(1, asked_number("limit") or _LIMIT), _LIMIT_MAX))
        with database.reading() as connection:
            late_s = late_after(connection)
            return jsonify(
                boards=list_boards(connection, wanted, now(), late_s),
                matching=count_boards(connection, wanted, now(), late_s))

    @app.get("/api/board")
    def api_board() -> Response:
        """The board `id`, and its history."""
        device_id = asked_text("id", 64)
        with database.reading() as connection:
            board = find_board(connection, device_id, now(), late_after(connection))
            if board is None:
                abort(HTTPStatus.NOT_FOUND)
            return jsonify(board=board, history=list_entries(connection, device_id, board.product))

    @app.get("/api/rollouts")
    def api_rollouts() -> Response:
        """The newest rollouts."""
        with database.reading() as connection:
            return jsonify(rollouts=list_rollouts(connection))

    @app.get("/api/releases")
    def api_releases() -> Response:
        """The releases that were seen in the site."""
        with database.reading() as connection:
            return jsonify(releases=list_releases_of(connection))
