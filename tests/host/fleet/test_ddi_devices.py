"""Devices that speak hawkBit's DDI: what they are offered, and what becomes of what they say (`fleet.ddi`)."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from flask import Flask

from slotbench.errors import BenchError
from slotbench.fleet.audit_log import Actor, list_audit
from slotbench.fleet.board_list import BoardHealth, find_board
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi.app import create_ddi
from slotbench.fleet.ddi.decision import ActionState, OpenAction, PollStep, next_step
from slotbench.fleet.ddi.device_tokens import TokenKind
from slotbench.fleet.ddi.targets import offer_again
from slotbench.fleet.evidence import gather_evidence
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.site_mirror import SiteMirror
from slotbench.formats.head import Head
from slotbench.release.rollout import Channel
from slotbench.release.store import Store
from support.ddi import DdiDevice, PublishCounter, history, new_token
from support.fleet import fill
from support.samples import NOW, PRODUCT


def test_a_device_is_offered_the_release_takes_it_and_is_known_like_a_board(
    device: DdiDevice, publish: PublishCounter, database: FleetDatabase, recorder: BoardRecorder, firmware: bytes,
    site: Store,
) -> None:
    head = publish()
    SiteMirror(database, site.root, lambda: NOW).sync()
    links = device.links()
    assert set(links) == {"configData", "deploymentBase"}
    assert device.put(hw="v2").status_code == 200
    assert "configData" not in device.links(), "it is asked once"
    deployment = device.get(links["deploymentBase"]).json
    assert deployment is not None
    assert deployment["deployment"]["download"] == deployment["deployment"]["update"] == "forced"
    [chunk] = deployment["deployment"]["chunks"]
    assert (chunk["part"], chunk["name"]) == ("os", PRODUCT)
    image, document = chunk["artifacts"]
    assert image["hashes"] == {
        "sha1": hashlib.sha1(firmware).hexdigest(), "md5": hashlib.md5(firmware).hexdigest(),
        "sha256": hashlib.sha256(firmware).hexdigest()}
    assert image["size"] == len(firmware) and document["filename"].endswith(".release")
    assert device.get(image["_links"]["download-http"]["href"], Range="bytes=98000-").data == firmware[98_000:]
    whole = device.get(image["_links"]["download"]["href"])
    assert (whole.status_code, whole.data) == (200, firmware)
    assert device.get(image["_links"]["md5sum"]["href"]).text == f"{image['hashes']['md5']}  {image['filename']}"
    signed = device.get(document["_links"]["download"]["href"]).data
    assert signed == site.read(f"releases/{head.release}.release"), "with our signature"
    for execution in ("download", "downloaded", "proceeding", "scheduled", "resumed"):
        assert device.say(links["deploymentBase"], execution, "none").status_code == 200
    recorder.flush()
    with database.reading() as connection:
        board = find_board(connection, "press-1", NOW, 3600)
    assert board is not None and (board.running, board.target, board.state) == (0, 7, BoardHealth.UPDATING)
    assert board.progress > 90, "what it asks for is how far it is"
    assert device.say(links["deploymentBase"], "closed", "success", "rebooted").status_code == 200
    recorder.flush()
    with database.reading() as connection:
        board = find_board(connection, "press-1", NOW, 3600)
        proof = gather_evidence(connection, PRODUCT, "stable", 7, now=NOW, silence_s=3600, late_s=3600)
        told = [(entry.action, entry.subject, entry.who) for entry in list_audit(connection)]
    assert board is not None and (board.running, board.report, board.report_counter) == (7, "confirmed", 7)
    assert (proof.known, proof.begun, proof.confirmed, proof.failed) == (1, 1, 1, 0)
    assert ("hawkbit register", "press-1", "press-1 (target token)") in told
    kinds = [kind for kind, _, _ in history(database, "press-1")]
    assert kinds == ["offered", "first-seen", "download", "said", "runs", "report"]
    assert set(device.links()) == {"installedBase", "configData"}, "and it says again what it is"
    assert device.get(device.links()["installedBase"]).json["id"] == deployment["id"]  # type: ignore[index]


def test_what_failed_is_a_failure_of_the_rollout_and_is_not_offered_again(
    device: DdiDevice, publish: PublishCounter, database: FleetDatabase, recorder: BoardRecorder,
) -> None:
    publish()
    link = device.links()["deploymentBase"]
    assert device.say(link, "closed", "failure", "no space left").status_code == 200
    recorder.flush()
    with database.reading() as connection:
        proof = gather_evidence(connection, PRODUCT, "stable", 7, now=NOW, silence_s=3600, late_s=3600)
    assert (proof.begun, proof.failed, proof.confirmed) == (1, 1, 0)
    assert ("said", 7, "no space left") in history(database, "press-1")
    assert "deploymentBase" not in device.links()
    assert device.say(link).status_code == 410, "it has ended"
    with database.writing() as connection:
        assert offer_again(connection, Actor("somebody"), NOW, "press-1") == 1
        with pytest.raises(BenchError, match="it gave no release up"):
            offer_again(connection, Actor("somebody"), NOW, "press-1")
        assert list_audit(connection)[0].action == "hawkbit retry"
    assert device.say(device.links()["deploymentBase"], "closed", "failure").status_code == 200
    publish(8)
    assert "deploymentBase" in device.links()


def test_rollouts_hold_for_devices_as_for_boards(
    ddi: Flask, publish: PublishCounter, database: FleetDatabase,
) -> None:
    head = publish(percent=40, cohorts=("lab",))
    gateway = new_token(database, "hall", TokenKind.GATEWAY)
    offered = 0
    for number in range(12):
        device = DdiDevice(ddi, f"press-{number}", gateway)
        has_one = "deploymentBase" in device.links()
        assert has_one == head.includes(f"press-{number}")
        offered += has_one
        if not has_one:
            device.put(cohort="lab")
            assert "deploymentBase" in device.links(), "a cohort is in from the start"
    assert 0 < offered < 12


def test_a_device_that_says_what_it_runs_is_offered_what_is_higher(
    device: DdiDevice, publish: PublishCounter, recorder: BoardRecorder, database: FleetDatabase,
) -> None:
    device.links()
    assert device.put(counter="9").status_code == 200
    publish(7)
    assert "deploymentBase" not in device.links()
    publish(10)
    assert "deploymentBase" in device.links()
    for odd in ("-1", "x", "99999999999", "4294967295", "\u0663"):
        assert device.put(counter=odd).status_code == 200
    recorder.flush()
    with database.reading() as connection:
        board = find_board(connection, "press-1", NOW, 3600)
    assert board is not None and board.running == 9


def test_a_pause_calls_off_what_a_device_began_and_it_may_go_on(
    device: DdiDevice, publish: PublishCounter, database: FleetDatabase, channel: Channel,
) -> None:
    publish()
    link = device.links()["deploymentBase"]
    assert device.get(link).status_code == 200
    channel.pause(NOW + 1)
    cancel = device.links()["cancelAction"]
    number = cancel.rpartition("/")[2]
    assert device.get(cancel).json == {"id": number, "cancelAction": {"stopId": number}}
    assert device.get(link).status_code == 404, "it is called off"
    assert device.say(cancel, "proceeding", "none").status_code == 200
    assert device.say(cancel, "rejected", "none", "flashing").status_code == 200
    assert device.get(device.links()["deploymentBase"]).status_code == 200, "it goes on"
    assert device.say(link, "closed", "success").status_code == 200
    assert [kind for kind, _, _ in history(database, "press-1")][:4] == ["offered", "called-off", "said", "goes-on"]


@pytest.mark.parametrize(("execution", "finished", "ends"), [
    ("closed", "success", True), ("closed", "none", True), ("canceled", "none", True), ("closed", "failure", False)])
def test_what_was_called_off_ends_and_is_offered_again_after_the_pause(
    device: DdiDevice, publish: PublishCounter, channel: Channel, execution: str, finished: str, ends: bool,
) -> None:
    publish()
    link = device.links()["deploymentBase"]
    device.get(link)
    assert device.say(f"{device.path}/cancelAction/1", execution, finished).status_code == 404, "nobody asked for it"
    channel.pause(NOW + 1)
    assert device.say(device.links()["cancelAction"], execution, finished).status_code == 200
    assert ("deploymentBase" in device.links()) is not ends
    channel.resume(NOW + 2)
    again = device.links()["deploymentBase"]
    assert (again.partition("?")[0] != link.partition("?")[0]) is ends, "a new action, where the old one ended"


def test_a_device_that_declines_a_release_is_left_alone_with_it(device: DdiDevice, publish: PublishCounter) -> None:
    publish()
    assert device.say(device.links()["deploymentBase"], "canceled", "none").status_code == 200
    assert "deploymentBase" not in device.links()


HEAD = Head(product="p", channel="c", epoch=1, seq=1, release="a" * 64, counter=7, issued=100, expires=1000)


@pytest.mark.parametrize(("changes", "action", "step"), [
    ({}, None, PollStep.OFFER),
    ({"paused": True}, None, PollStep.NOTHING),
    ({"expires": 200}, None, PollStep.NOTHING),
    ({"percent": 0}, None, PollStep.NOTHING),
    ({"counter": 5}, None, PollStep.NOTHING),
    ({"release": "f" * 64}, None, PollStep.NOTHING),
    ({}, ("a", ActionState.OFFERED, True), PollStep.NOTHING),
    ({"expires": 200}, ("a", ActionState.OFFERED, True), PollStep.NOTHING),
    ({"percent": 0}, ("a", ActionState.OFFERED, True), PollStep.CALL_OFF),
    ({"paused": True}, ("a", ActionState.OFFERED, False), PollStep.DROP),
    ({}, ("b", ActionState.OFFERED, True), PollStep.CALL_OFF),
    ({}, ("b", ActionState.KEPT, True), PollStep.NOTHING),
    ({}, ("b", ActionState.CANCELING, True), PollStep.NOTHING),
    ({}, ("a", ActionState.CANCELING, True), PollStep.REVIVE),
    (None, ("a", ActionState.OFFERED, True), PollStep.CALL_OFF),
    (None, None, PollStep.NOTHING),
])
def test_the_step_of_a_poll(
    changes: dict[str, object] | None, action: tuple[str, ActionState, bool] | None, step: PollStep,
) -> None:
    head = None if changes is None else replace(HEAD, **changes)  # type: ignore[arg-type]
    known = OpenAction(1, action[0] * 64, 7, action[1], action[2]) if action else None
    assert next_step(head, "press-1", None, 5, 500, known, given_up={"f" * 64}) is step


def test_a_poll_says_when_to_come_again_and_is_cheap_when_nothing_changed(
    device: DdiDevice, publish: PublishCounter, clock: list[float],
) -> None:
    publish(interval_s=604800)
    assert device.get().json["config"]["polling"]["sleep"] == "00:01:00", "what it is, it says soon"  # type: ignore[index]
    device.put()
    answer = device.get()
    assert answer.json["config"]["polling"]["sleep"] == "23:59:59"  # type: ignore[index]
    assert device.get(**{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    publish(8, interval_s=90)
    assert device.get().json["config"]["polling"]["sleep"] == "00:01:30"  # type: ignore[index]


def test_an_id_of_a_board_is_no_device(ddi: Flask, database: FleetDatabase, publish: PublishCounter) -> None:
    publish()
    fill(database, 1)
    forged = DdiDevice(ddi, "lamp-000000", new_token(database, "hall", TokenKind.GATEWAY))
    assert forged.get().status_code == 403
    assert forged.put(counter="9").status_code == 404
    assert history(database, "lamp-000000") == []


def test_a_device_that_asks_from_everywhere_at_once_gets_one_action(
    device: DdiDevice, publish: PublishCounter, database: FleetDatabase, site: Store, clock: list[float],
) -> None:
    publish()
    # As several processes would: each has its own connections, and no lock of this process is between them.
    others = [FleetDatabase(database.engine, database.name) for _ in range(4)]
    apps = [create_ddi(each, site.root, lambda request: None, clock=lambda: clock[0]) for each in others]
    gate = Barrier(len(apps))

    def poll(app: Flask) -> set[str]:
        gate.wait()
        return set(DdiDevice(app, "press-1", device.headers["Authorization"]).links())

    with ThreadPoolExecutor(len(apps)) as pool:
        for links in pool.map(poll, apps):
            assert links == {"configData", "deploymentBase"}
    assert history(database, "press-1") == [("offered", 7, "")]
    with database.reading() as connection:
        assert [entry.action for entry in list_audit(connection)] == ["hawkbit register", "hawkbit target"]
