"""Our server follows a hawkBit (`fleet.ddi.follower`): another server of ours, hostile ones, and goosebit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, redirect, request

import slotbench as slotbench_package
from slotbench.application.bundle import Bundle
from slotbench.boards import load
from slotbench.errors import BenchError
from slotbench.fleet.audit_log import list_audit
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi.archive import read_archive
from slotbench.fleet.ddi.client import DdiClient, DdiError
from slotbench.fleet.ddi.follower import HawkbitFollower
from slotbench.fleet.ddi.targets import DdiTarget, find_target
from slotbench.formats import FormatError
from slotbench.formats.head import Head
from slotbench.release import documents
from slotbench.release.applications import build_application, missing_files
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.rollout import Channel
from slotbench.release.store import Store
from slotbench.server import BackgroundServer
from support.commands import MakeRelease, RunCommand
from support.cpio import pack_cpio
from support.ddi import PublishCounter, history, new_token
from support.goosebit import running_goosebit
from support.guides.page import blocks
from support.samples import NOW, PRODUCT, KeyRing, make_firmware
from support.web_servers.debian import find_program

Follow = Callable[..., HawkbitFollower]


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], str]]:
    """Serve an application; its URL."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(BackgroundServer(app)).url


@pytest.fixture
def branch(tmp_path: Path) -> Store:
    """The site that follows."""
    return Store(tmp_path / "branch")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def follow(branch: Store, ring: KeyRing, told: list[str]) -> Follow:
    """A follower of the server at a URL, with this token."""
    (branch.root.parent / "branch-keys").mkdir()
    keys = branch.root.parent / "branch-keys" / ring.document.name
    keys.write_bytes(ring.document.read_bytes())

    def follow(url: str, authorization: str = "TargetToken x", **changes: Any) -> HawkbitFollower:
        return replace(HawkbitFollower(
            client=DdiClient(url, PRODUCT, "branch", authorization), site=branch, keys_path=keys,
            key=ring.load("online"), channel="stable", rollout=Rollout(percent=20), patches=0, clock=lambda: NOW,
            told=lambda head: told.append(f"head {head.counter}"), say=told.append), **changes)

    return follow


def head_of(site: Store) -> Head | None:
    path = site.path(f"heads/{PRODUCT}/stable.head")
    return documents.read_head(path)[1] if path.exists() else None


@pytest.fixture
def upstream(ddi: Flask, database: FleetDatabase, serve: Callable[[Flask], str]) -> tuple[str, str]:
    """Another server of ours that speaks DDI: its URL, and the token of this one."""
    return serve(ddi), new_token(database, "branch")


def state(database: FleetDatabase) -> DdiTarget:
    with database.reading() as connection:
        found = find_target(connection, "branch")
    assert found is not None
    return found


def test_what_is_assigned_is_published_and_reported(
    upstream: tuple[str, str], publish: PublishCounter, follow: Follow, branch: Store, site: Store,
    database: FleetDatabase, told: list[str], firmware: bytes,
) -> None:
    follower = follow(*upstream)
    assert follower.turn() == 60 and head_of(branch) is None, "nothing is assigned yet"
    assert state(database).attributes["channel"] == "stable"
    there = publish()
    follower.turn()
    here = head_of(branch)
    assert here is not None and (here.release, here.percent) == (there.release, 20), "in steps of its own"
    assert branch.read(f"releases/{here.release}.release") == site.read(f"releases/{here.release}.release")
    assert told == ["head 7", "published counter 7 in sensor/stable for 20 % of the boards"]
    assert (state(database).running, state(database).report) == (7, 1)
    assert [detail for kind, _, detail in history(database, "branch") if kind == "said"] == ["downloading", told[1]]
    follower.turn()
    assert head_of(branch) == here and len(told) == 2, "once"


def test_a_follower_that_was_killed_before_it_reported_publishes_nothing_twice(
    upstream: tuple[str, str], publish: PublishCounter, follow: Follow, branch: Store, make_release: MakeRelease,
    firmware: bytes, ring: KeyRing, database: FleetDatabase, told: list[str],
) -> None:
    publish()
    follower = follow(*upstream)
    before = publish_release(
        branch, make_release(7), follower.keys_path, [firmware], ring.load("online"), NOW,
        rollout=Rollout(percent=50))
    follower.turn()
    assert head_of(branch) == before and told == ["sensor/stable has it already"]
    assert state(database).running == 7


def test_what_is_called_off_is_not_published(
    upstream: tuple[str, str], publish: PublishCounter, follow: Follow, branch: Store, channel: Channel,
    database: FleetDatabase, told: list[str],
) -> None:
    publish()
    follower = follow(*upstream)
    follower.client.get_json(follower.client.poll().links["deploymentBase"])
    channel.pause(NOW + 1)
    follower.turn()
    assert head_of(branch) is None and told == ["hawkBit called its action off"]
    assert ("stopped", 7, "") in history(database, "branch")
    channel.resume(NOW + 2)
    follower.turn()
    assert head_of(branch) is not None, "it is assigned again"


def test_a_lower_counter_is_reported_as_a_failure(
    upstream: tuple[str, str], publish: PublishCounter, follow: Follow, branch: Store, make_release: MakeRelease,
    ring: KeyRing, database: FleetDatabase,
) -> None:
    publish()
    follower = follow(*upstream)
    other = make_firmware(70_000, seed=9)
    publish_release(
        branch, make_release(8, data=other), follower.keys_path, [other], ring.load("online"), NOW)
    follower.turn()
    assert head_of(branch).counter == 8 and state(database).report == 2  # type: ignore[union-attr]
    assert any("counter 7 is below 8" in detail for _, _, detail in history(database, "branch"))


def hostile(files: dict[str, bytes], **changes: Any) -> tuple[Flask, list[Any]]:
    """A hawkBit with these files as artifacts, and what it is sent. `changes` replace parts of an artifact."""
    app, sent = Flask("hostile"), []
    base = f"/{PRODUCT}/controller/v1/branch"

    @app.get(base)
    def poll() -> dict[str, Any]:
        link = {"href": f"{request.host_url}{base[1:]}/deploymentBase/5?c=1"}
        return {"config": {"polling": {"sleep": "00:00:01"}}, "_links": {"deploymentBase": link}}

    @app.get(f"{base}/deploymentBase/5")
    def deployment() -> dict[str, Any]:
        artifacts = [{
            "filename": name, "size": len(data), "hashes": {},
            "_links": {"download-http": {"href": f"{request.host_url}files/{name}"}}} | changes
            for name, data in files.items()]
        return {"id": "5", "deployment": {"download": "forced", "update": "forced", "chunks": [{"artifacts": artifacts}]}}

    @app.post(f"{base}/deploymentBase/5/feedback")
    def feedback() -> str:
        status = request.get_json()["status"]
        sent.append((status["execution"], status["result"]["finished"], " ".join(status["details"])))
        return ""

    @app.get("/files/<name>")
    def file(name: str) -> Response:
        return Response(files[name])

    return app, sent


def test_what_is_not_ours_is_never_published(
    serve: Callable[[Flask], str], follow: Follow, branch: Store, make_release: MakeRelease, firmware: bytes,
    told: list[str],
) -> None:
    good, online = make_release(7).read_bytes(), make_release(7, key="online").read_bytes()
    stranger = make_release(7, key="stranger").read_bytes()
    altered = good.replace(b'"counter":7', b'"counter":8')
    broken = bytes([firmware[0]]) + bytes([firmware[1] ^ 1]) + firmware[2:]
    for files, words in (
        ({"f.bin": firmware, "a.release": stranger}, "is not a key of sensor"),
        ({"f.bin": firmware, "a.release": online}, "signed by the online key"),
        ({"f.bin": firmware, "a.release": altered}, "the document was altered"),
        ({"f.bin": firmware}, "no release document"),
        ({"a.release": good}, "image of the release is not among the files"),
        ({"f.bin": broken, "a.release": good}, "image of the release is not among the files"),
        ({"f.bin": firmware[:-4], "a.release": good}, "image of the release is not among the files"),
        ({"a.swu": pack_cpio({"a.release": stranger, "f.bin": firmware})}, "is not a key of sensor"),
        ({"a.swu": pack_cpio({"a.release": good, "f.bin": firmware})[:-40_000]}, "the archive ends inside"),
        ({}, "no release document"),
    ):
        app, sent = hostile(files)
        follow(serve(app)).turn()
        assert head_of(branch) is None and not branch.root.exists()
        assert [each[:2] for each in sent] == [("proceeding", "none"), ("closed", "failure")]
        assert words in sent[1][2] and str(branch.root.parent) not in sent[1][2], sent
    assert not any(line.startswith("head") for line in told)


def test_a_release_in_an_archive_is_published(
    serve: Callable[[Flask], str], follow: Follow, branch: Store, make_release: MakeRelease, firmware: bytes,
) -> None:
    app, sent = hostile({"a.swu": pack_cpio({
        "sw-description": b"software = {};", "a.release": make_release(7).read_bytes(), "f.bin": firmware})})
    assert follow(serve(app)).turn() == 30, "no server makes it ask more often"
    assert head_of(branch).counter == 7 and sent[-1][:2] == ("closed", "success")  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["with its firmware", "alone"])
def test_a_program_is_published_with_its_files(
    serve: Callable[[Flask], str], follow: Follow, branch: Store, make_release: MakeRelease, firmware: bytes,
    ring: KeyRing, form: str, told: list[str],
) -> None:
    bundle = Bundle({"lib/lamp.py": b"x = 1\n" * 900, "main.py": b"import lamp\n"}, 0)
    made = build_application(
        bundle, product=PRODUCT, boards=[load("generic_4m")], version="1.0", counter=3, created=NOW)
    signed = ring.load("offline").sign(made.to_payload())
    files = {"app-3.application": signed.pack(), **{f"app-3.files/{path}": data for path, data in bundle.files.items()}}
    if form == "with its firmware":
        files |= {"a.release": make_release(7).read_bytes(), "f.bin": firmware}
    follower = follow("http://127.0.0.1:1")
    for damage, words in (
        ({"app-3.files/main.py": b"import evil\n"}, "the files are not those"), ({"app-3.files/more.py": b""}, "the files"),
        ({"app-3.files/../main.py": b""}, "path has the component"), ({"app-3.application": ring.load("stranger").sign(
            made.to_payload()).pack()}, "is not a key of sensor"),
    ):
        app, sent = hostile({"a.swu": pack_cpio(files | damage)})
        replace(follower, client=DdiClient(serve(app), PRODUCT, "branch", "x")).turn()
        assert sent[-1][:2] == ("closed", "failure") and words in sent[-1][2] and head_of(branch) is None
    app, sent = hostile({"a.swu": pack_cpio(files)})
    follower = replace(follower, client=DdiClient(serve(app), PRODUCT, "branch", "x"))
    follower.turn()
    head = head_of(branch)
    assert head is not None and (head.app, head.app_counter) == (signed.digest, 3) and sent[-1][1] == "success"
    assert head.counter == (7 if form == "with its firmware" else 0)
    assert not missing_files(branch, made)
    follower.turn()
    assert head_of(branch) == head and told[-1] == "sensor/stable has it already"


@pytest.mark.parametrize("links", [
    {"download": {"href": "file:///etc/passwd"}}, {"download": {"href": "ftp://127.0.0.1/x"}},
    {"download": {"href": "http://192.0.2.1/x"}}, {"download": {"href": "http://u:p@127.0.0.1/x"}},
    {"download": {"href": "http://[::1/x"}}, {"download": {"href": "//127.0.0.1/x"}}])
def test_links_lead_nowhere_else(
    serve: Callable[[Flask], str], follow: Follow, make_release: MakeRelease, links: dict[str, Any],
) -> None:
    app, sent = hostile({"a.release": make_release(7).read_bytes()}, _links=links)
    with pytest.raises(DdiError) as refused:
        follow(serve(app)).turn()
    assert "leads to another server" in str(refused.value) or "no link of HTTP" in str(refused.value)
    assert [each[0] for each in sent] == ["proceeding"], "the action stays open"


def test_files_of_a_host_that_is_allowed_are_fetched_without_the_token(
    serve: Callable[[Flask], str], follow: Follow, branch: Store, make_release: MakeRelease, firmware: bytes,
) -> None:
    store, asked = Flask("store"), []
    files = {"a.release": make_release(7).read_bytes(), "f.bin": firmware}

    @store.get("/<name>")
    def file(name: str) -> Response:
        asked.append(request.headers.get("Authorization"))
        return Response(files[name])

    elsewhere = serve(store)
    app, sent = hostile(files)

    @app.after_request
    def moved(response: Response) -> Response:
        if response.is_json and b"deployment" in response.data:
            response.data = response.data.replace(request.host_url.encode() + b"files", elsewhere.encode())
        return response

    url = serve(app)
    with pytest.raises(DdiError, match="--downloads-from"):
        follow(url).turn()
    client = DdiClient(url, PRODUCT, "branch", "TargetToken secret", ["127.0.0.1"])
    follow(url, client=client).turn()
    assert head_of(branch).counter == 7 and asked == [None, None]  # type: ignore[union-attr]


@pytest.mark.parametrize(("answer", "words"), [
    (lambda: redirect("http://192.0.2.1/"), "status 302"), (lambda: Response("x" * 300_000), "more than 262144 bytes"),
    (lambda: Response("[]"), "no JSON object"), (lambda: Response("[" * 9000), "no JSON object"),
    (lambda: Response("\xff"), "no JSON object"), (lambda: Response("", 401), "status 401"),
    (lambda: Response("", 503), "status 503")])
def test_answers_that_are_none_are_errors(
    serve: Callable[[Flask], str], follow: Follow, answer: Callable[[], Response], words: str,
) -> None:
    app = Flask("odd")
    app.get("/<path:path>")(lambda path: answer())
    with pytest.raises(DdiError, match=words) as refused:
        follow(serve(app), "TargetToken secret").turn()
    assert "secret" not in str(refused.value)
    with pytest.raises(DdiError, match="cannot be asked"):
        DdiClient("http://127.0.0.1:1", "t", "i", "x").poll()


@pytest.mark.parametrize("answer", [{}, {"_links": []}, {"config": 1, "_links": {"x": 1}}, {"config": {"polling": []}}])
def test_a_poll_without_sense_is_nothing_to_do(
    serve: Callable[[Flask], str], follow: Follow, branch: Store, answer: dict[str, Any],
) -> None:
    app = Flask("odd")
    app.get("/<path:path>")(lambda path: answer)
    assert follow(serve(app)).turn() == 300 and head_of(branch) is None


@pytest.mark.parametrize("data", [
    b"", b"070701", b"070701" + b"-" * 104, b"070701" + b"F" * 104, b"070701" + b"0" * 104,
    pack_cpio({"a": b"x"})[:-120], pack_cpio({f"{number}": b"" for number in range(2100)})])
def test_an_archive_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        list(read_archive(data))


def test_an_archive_is_read_as_the_commands_of_the_guide_write_it(tmp_path: Path) -> None:
    find_program("cpio", "cpio")
    [commands] = [block.text for block in blocks("host/docs/hawkbit.md") if "cpio" in block.text]
    files = {"lamp-3.release": b"abc", "firmware.bin": random.Random(7).randbytes(70_000)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, check=True, capture_output=True)
    written = (tmp_path / "lamp.swu").read_bytes()
    assert dict(read_archive(written)) == {"sw-description": b'software = { version = "2.1.0"; };\n', **files}
    assert dict(read_archive(pack_cpio(files))) == files, "what tests pack is the same form"


def test_the_command_follows_until_ctrl_c_and_writes_down_what_it_published(
    upstream: tuple[str, str], publish: PublishCounter, branch: Store, slotbench: RunCommand, ring: KeyRing,
    tmp_path: Path, database: FleetDatabase, database_file: Path,
) -> None:
    publish()
    token = tmp_path / "hawkbit.token"
    token.write_text(upstream[1].partition(" ")[2] + "\n")
    (tmp_path / "other").mkdir()
    keys = tmp_path / "other" / ring.document.name
    keys.write_bytes(ring.document.read_bytes())
    command = [
        "fleet", "follow", upstream[0], branch.root, "--id", "branch", "--tenant", PRODUCT, "--keys", keys,
        "--key", ring.online, "--database", f"sqlite:///{database_file}", "--percent", "20"]
    assert "give --token FILE" in slotbench(*command).err
    ran = slotbench(*command, "--token", token, "--once")
    assert ran.code == 0 and "published counter 7 in sensor/stable for 20 % of the boards" in ran.out, ran.err
    with database.reading() as connection:
        entry = list_audit(connection)[0]
    assert (entry.who, entry.action, entry.subject) == ("hawkBit", "hawkbit publish", "sensor/stable")
    token.write_text("two words")
    assert "this is no token" in slotbench(*command, "--token", token, "--once").err
    token.write_text("wrong")
    ran = slotbench(*command, "--token", token, "--once")
    assert ran.code == 2 and "status 401" in ran.err and "check the tenant, the device id and the token" in ran.err
    environment = {**os.environ, "PYTHONPATH": str(Path(slotbench_package.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "slotbench", *command, "--token", token], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(f"Following {upstream[0]}/{PRODUCT}/controller/v1/branch")
        assert "status 401" in process.stderr.readline(), "it goes on, and asks again"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


def test_a_wrong_key_here_is_told_here(
    upstream: tuple[str, str], publish: PublishCounter, follow: Follow, ring: KeyRing, database: FleetDatabase,
) -> None:
    publish()
    with pytest.raises(BenchError):
        follow(*upstream, key=ring.load("stranger")).turn()
    with database.reading() as connection:
        assert find_target(connection, "branch") is None, "hawkBit was not even asked"


def test_goosebit_is_followed(
    follow: Follow, branch: Store, make_release: MakeRelease, firmware: bytes, tmp_path: Path, told: list[str],
) -> None:
    with running_goosebit(tmp_path) as goosebit:
        description = b'software = { version = "2.0.0"; hardware-compatibility = [ "default" ]; };\n'
        follower = follow(goosebit.url, client=DdiClient(goosebit.url, "DEFAULT", "branch", "TargetToken x"))
        assert follower.turn() == 30, "it says what it is"
        goosebit.assign("lamp.swu", pack_cpio({
            "sw-description": description, "a.release": make_release(7).read_bytes(), "f.bin": firmware}))
        follower.turn()
        [device] = goosebit.ask("GET", "devices")["devices"]
    assert head_of(branch).counter == 7 and told[0] == "head 7"  # type: ignore[union-attr]
    assert (device["id"], device["last_state"], device["sw_version"]) == ("branch", "Finished", "2.0.0")
