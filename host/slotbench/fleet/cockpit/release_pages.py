"""The pages about releases and rollouts, and what operators may ask there."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from flask import Flask, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from slotbench.errors import BenchError
from slotbench.fleet.board_list import BoardFilter, late_after, list_boards
from slotbench.fleet.cockpit.asked import asked_text, require_signer
from slotbench.fleet.cockpit.guard import signed_in
from slotbench.fleet.cockpit.pictures import evidence_bar, rollout_picture, step_marks
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.offers import (
    find_release,
    list_offered,
    list_releases_of,
    newest_heads,
    signing_process,
)
from slotbench.fleet.offer_asks import OfferStep, ask_offer, cancel_ask, list_asks
from slotbench.fleet.release_sizes import release_sizes
from slotbench.fleet.rollout_plan import RolloutPlan, parse_duration, parse_steps
from slotbench.fleet.rollout_runner import read_channel_head
from slotbench.fleet.rollout_store import (
    ask_rollout,
    begin_rollout,
    find_rollout,
    list_rollouts,
    open_rollouts,
    rollout_evidence,
)
from slotbench.fleet.rollout_words import next_step_words
from slotbench.formats.fields import check_name
from slotbench.formats.release import Preflight
from slotbench.release.describe import PREFLIGHT_WORDS
from slotbench.release.store import Store

__all__ = ["add_release_pages"]

_SHOWN = 30
_FAILED_SHOWN = 8


def add_release_pages(app: Flask, database: FleetDatabase, site: Path, now: Callable[[], int]) -> None:
    """Add the pages of the site in the folder `site`. `now` gives Unix seconds."""
    store = Store(site)
    _add_releases(app, database, store, now)
    _add_rollouts(app, database, now)
    _add_rollout_changes(app, database, store, now)
    _add_offer_changes(app, database, now)


def _add_releases(app: Flask, database: FleetDatabase, site: Store, now: Callable[[], int]) -> None:
    @app.get("/releases")
    def releases() -> str:
        """All releases, and where each is offered."""
        with database.reading() as connection:
            return render_template(
                "releases.html", releases=list_releases_of(connection), heads=newest_heads(connection))

    @app.get("/release")
    def release() -> str:
        """One release."""
        with database.reading() as connection:
            found = find_release(connection, asked_text("digest", 64))
            if found is None:
                abort(HTTPStatus.NOT_FOUND)
            offering = [head for head in newest_heads(connection) if head.digest == found.digest]
            open_ones = {each.channel: each for each in open_rollouts(connection)
                         if each.product == found.product}
            asked = {each.channel: each for each in list_asks(connection, found.product)}
            return render_template(
                "release.html", release=found, offering=offering, rollouts=open_ones, asked=asked,
                heads=list_offered(connection, found.digest), plan=RolloutPlan(),
                sizes=release_sizes(connection, site, found), signer=signing_process(connection, now()),
                preflight=PREFLIGHT_WORDS.get(_preflight(found.preflight), "not known here"))


def _add_rollouts(app: Flask, database: FleetDatabase, now: Callable[[], int]) -> None:
    @app.get("/rollouts")
    def rollouts() -> str:
        """The newest rollouts."""
        with database.reading() as connection:
            late_s = late_after(connection)
            newest = list_rollouts(connection, _SHOWN)
            return render_template("rollouts.html", under_way=[
                rollout_picture(connection, view, now(), late_s)
                for view in newest if not view.state.has_ended],
                ended=[view for view in newest if view.state.has_ended])

    @app.get("/rollout/<int:number>")
    def rollout(number: int) -> str:
        """One rollout."""
        with database.reading() as connection:
            view = find_rollout(connection, number) if number < 1 << 31 else None
            if view is None:
                abort(HTTPStatus.NOT_FOUND)
            late_s = late_after(connection)
            evidence = rollout_evidence(connection, view, now(), late_s)
            of_program = view.plan.of_program
            wanted = BoardFilter(
                product=view.product, channel=view.channel, limit=_FAILED_SHOWN,
                gave_up=None if of_program else view.counter,
                gave_up_app=view.counter if of_program else None)
            return render_template(
                "rollout.html", rollout=view, marks=step_marks(view), evidence=evidence,
                bar=evidence_bar(evidence, view), release=find_release(connection, view.digest),
                failed=list_boards(connection, wanted, now(), late_s) if evidence.failed else [],
                following=next_step_words(view, now()), signer=signing_process(connection, now()))


def _add_rollout_changes(app: Flask, database: FleetDatabase, site: Store, now: Callable[[], int]) -> None:
    @app.post("/rollout/<int:number>/<any(pause, resume, abort):what>")
    def ask(number: int, what: str) -> Response:
        """Ask a rollout to pause, resume or abort. The process that signs does it."""
        with database.writing() as connection:
            require_signer(connection, now(), f"slotbench fleet rollout {what}")
            ask_rollout(connection, signed_in(), now(), number, what)
        return redirect(url_for("rollout", number=number), HTTPStatus.SEE_OTHER)

    @app.post("/rollouts")
    def begin() -> Response:
        """Begin to roll a channel's release out."""
        form = request.form
        product = check_name(form.get("product", ""), "product")
        channel = check_name(form.get("channel", ""), "channel")
        head = read_channel_head(site, product, channel)
        if head is None or head.release != form.get("digest"):
            raise BenchError(
                "the channel offers another release now", where=f"{product}/{channel}",
                cure="look at it again, and begin from there")
        cohorts = tuple(form.get("cohorts", "").replace(",", " ").split())
        plan = RolloutPlan(
            steps=parse_steps(form.get("steps", "").replace(" ", "")),
            soak_s=parse_duration(form.get("soak", "").strip()), window=form.get("window", "").strip(),
            failed=_share("failed"), silent=_share("silent"), cohorts=cohorts)
        with database.writing() as connection:
            require_signer(connection, now(), "slotbench fleet rollout start")
            number = begin_rollout(connection, signed_in(), now(), head, plan, late_after(connection))
        return redirect(url_for("rollout", number=number), HTTPStatus.SEE_OTHER)


def _add_offer_changes(app: Flask, database: FleetDatabase, now: Callable[[], int]) -> None:
    @app.post("/offer/<any(promote, pause, resume):what>")
    def ask_for_offer(what: str) -> Response:
        """Ask the process that signs for a head: a higher percentage, a pause, or an end of it."""
        form, step = request.form, OfferStep(what)
        product = check_name(form.get("product", ""), "product")
        channel = check_name(form.get("channel", ""), "channel")
        percent = _share("percent") if step is OfferStep.PROMOTE else 0
        with database.writing() as connection:
            require_signer(connection, now(), f"slotbench release {what} --channel {channel}")
            ask_offer(
                connection, signed_in(), now(), product, channel, form.get("digest", ""), step, percent)
        return _release_again()

    @app.post("/offer/cancel")
    def cancel_offer() -> Response:
        """Take back what was asked and is not signed yet."""
        form = request.form
        with database.writing() as connection:
            cancel_ask(
                connection, signed_in(), now(), check_name(form.get("product", ""), "product"),
                check_name(form.get("channel", ""), "channel"))
        return _release_again()


def _release_again() -> Response:
    return redirect(url_for("release", digest=request.form.get("digest", "")[:64]), HTTPStatus.SEE_OTHER)


def _preflight(word: str) -> Preflight | None:
    return Preflight(word) if word in set(Preflight) else None


def _share(name: str) -> int:
    text = request.form.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 3:
        raise BenchError(f"{text!r} is no percentage", where=name, cure="give a number from 0 to 100")
    return int(text)
