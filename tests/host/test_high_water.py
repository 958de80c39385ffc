"""What was published outlives its site: the mark beside the keys, the clock, and `release publish --repair`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from slotbench.errors import BenchError
from slotbench.formats import document
from slotbench.formats.codes import explain
from slotbench.formats.head import Head
from slotbench.release import store
from slotbench.release.high_water import HighWater
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.repair import repair_site
from slotbench.release.rollout import Channel
from slotbench.release.store import Store
from slotbench.vboard.vm import CPythonVM
from support.commands import CommandResult, MakeRelease, RunCommand
from support.device.board import DeviceBoard, refusal
from support.device.policy import PolicyBench
from support.samples import NOW, PRODUCT, SEQ, KeyRing

DAY = 86400
YEAR = 365 * DAY
HEAD = store.head_name(PRODUCT, "stable")

Publish: TypeAlias = Callable[..., Head]
Run: TypeAlias = Callable[..., CommandResult]


@pytest.fixture
def publish(site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes) -> Publish:
    """Publish a release by its counter."""

    def publish(counter: int, now: int = NOW, channel: str = "stable", **options: Any) -> Head:
        return publish_release(
            site, make_release(counter), ring.document, [firmware], ring.load("online"), now, channel=channel,
            rollout=Rollout(**options))

    return publish


@pytest.fixture
def run(slotbench: RunCommand, site: Store, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a `slotbench release` verb on the site at a time."""

    def run(*words: object, now: int = NOW + DAY) -> CommandResult:
        monkeypatch.setattr("time.time", lambda: float(now))
        return slotbench("release", *words, "--key", ring.online, "--keys", ring.document)

    return run


class PolicyBoard:
    """A board that keeps what it saw of heads, as twoslot's own policy judges them."""

    def __init__(self, vm: CPythonVM, clock: int = 0) -> None:
        self.bench = PolicyBench(vm)
        self.bench.settings |= {"product": PRODUCT}
        self.bench.facts |= {"seq": 0, "time": 0, "tag": None}
        self.bench.now = clock

    def check(self, site: Store) -> None:
        """Check the head of the site; raise what the board refuses it for, or remember it."""
        payload = json.loads(document.split_document(site.read(HEAD) or b"").payload)
        head = self.bench.policy.check_head(payload, 1, self.bench.settings, self.bench.facts, self.bench.now)
        latest = max(self.bench.facts["time"], head["issued"])
        self.bench.facts |= {"seq": head["seq"], "tag": head["tag"], "time": latest}

    def refuses(self, site: Store, code: int) -> None:
        with refusal(self.bench.vm, "ReleaseError", code):
            self.check(site)


@pytest.fixture(scope="module")
def vm() -> Iterator[CPythonVM]:
    board = DeviceBoard()
    yield board.start()
    board.close()


@pytest.fixture
def fleet(vm: CPythonVM) -> PolicyBoard:
    return PolicyBoard(vm)


def head_of(site: Store, channel: str = "stable") -> Head:
    text = site.read(store.head_name(PRODUCT, channel))
    assert text is not None
    return Head.from_payload(document.split_document(text).payload)


def mark_path(ring: KeyRing) -> Path:
    return HighWater.path_beside(ring.document, PRODUCT)


def follow(advice: str, run: Run, site: Store, **values: object) -> CommandResult:
    """Run the command that this advice names."""
    found = re.search(r"`slotbench release (.*?)`", advice)
    assert found, advice
    words = [word for word in shlex.split(found[1]) if word not in ("--key", "--keys", "ONLINE.pem", "PRODUCT.keys")]
    return run(*(str(site.root) if word == "SITE" else word for word in words), *values)


def test_an_emptied_site_goes_on_above_what_boards_saw(site: Store, publish: Publish, fleet: PolicyBoard) -> None:
    for second in range(3):
        publish(7, NOW + second)
    fleet.check(site)
    shutil.rmtree(site.root)
    publish(8, NOW + 2)
    assert head_of(site).seq == SEQ + 3
    fleet.check(site)


def test_an_emptied_site_without_the_mark_goes_on_by_the_clock(
    site: Store, publish: Publish, fleet: PolicyBoard, ring: KeyRing,
) -> None:
    """As in CI, where the keys are secrets and nothing is kept."""
    publish(7)
    fleet.check(site)
    shutil.rmtree(site.root)
    mark_path(ring).unlink()
    publish(7, NOW + 60)
    fleet.check(site)


def test_a_mark_above_the_clock_decides(site: Store, publish: Publish, ring: KeyRing) -> None:
    mark = HighWater.beside(ring.document, PRODUCT)
    mark.reserve(publish(7), NOW)
    text = mark_path(ring).read_text().replace(f'"seq": {SEQ}', f'"seq": {SEQ + 10**6}', 1)
    mark_path(ring).write_text(text)
    assert publish(8, NOW + 1).seq == SEQ + 10**6 + 1


def test_a_site_restored_from_a_backup_goes_on_from_the_newest_head(
    site: Store, publish: Publish, fleet: PolicyBoard, run: Run, tmp_path: Path,
) -> None:
    publish(7)
    shutil.copytree(site.root, tmp_path / "backup")
    publish(7, NOW + 1, percent=10, paused=True)
    fleet.check(site)
    shutil.rmtree(site.root)
    shutil.move(tmp_path / "backup", site.root)
    fleet.refuses(site, 35)

    listed = run("list", site.root)
    assert listed.code == 2
    ran = follow(explain(35).advice, run, site)
    assert ran.code == 0, ran.err
    fleet.check(site)
    assert (head_of(site).percent, head_of(site).paused) == (10, True), "the pause is not forgotten"


def test_list_tells_of_an_old_copy(
    slotbench: RunCommand, site: Store, publish: Publish, ring: KeyRing, run: Run,
) -> None:
    publish(7)
    old = site.path(HEAD).read_bytes()
    publish(7, NOW + 1)
    site.path(HEAD).write_bytes(old)
    ran = slotbench("release", "list", site.root, "--keys", ring.document)
    assert ran.code == 0 and f"head seq {SEQ}, " in ran.out and f"stable: seq {SEQ + 1} was signed since" in ran.out
    ran = run("promote", site.root, "--percent", 100)
    assert ran.code == 0 and f"has seq {SEQ}, and seq {SEQ + 1} was signed since" in ran.err
    site.path(HEAD).write_bytes(old)
    assert follow(ran.err, run, site).code == 0
    assert "signed since" not in slotbench("release", "list", site.root, "--keys", ring.document).out


def test_two_sites_of_one_product_do_not_mix(
    site: Store, publish: Publish, ring: KeyRing, make_release: MakeRelease, firmware: bytes, tmp_path: Path,
) -> None:
    """The staging site is ahead. What is offered in the other one is its own; only the seq is above both."""
    other = Store(tmp_path / "production")
    online = ring.load("online")
    publish_release(other, make_release(7), ring.document, [firmware], online, NOW, rollout=Rollout(percent=5))
    publish(9, NOW + 1)
    head = Channel(other, ring.document, online).promote(NOW + 1, percent=50)
    assert (head.counter, head.percent, head.seq) == (7, 50, SEQ + 2)
    publish_release(other, make_release(8), ring.document, [firmware], online, NOW + 2)
    assert (head_of(other).counter, head_of(site).counter) == (8, 9)


def test_the_interval_survives_an_emptied_site(site: Store, publish: Publish) -> None:
    publish(7, interval_s=3600)
    shutil.rmtree(site.root)
    assert publish(8).interval_s == 3600
    assert publish(9, interval_s=0).interval_s == 0


def test_the_seq_of_a_board_is_enough_where_all_is_lost(
    site: Store, publish: Publish, fleet: PolicyBoard, ring: KeyRing, run: Run,
) -> None:
    """A clock of 2031 signed a head, then site and mark were lost."""
    publish(7, NOW + 5 * YEAR)
    fleet.check(site)
    shutil.rmtree(site.root)
    mark_path(ring).unlink()
    publish(7)
    fleet.refuses(site, 35)
    assert follow(explain(35).advice, run, site).code == 0
    fleet.refuses(site, 35)
    seq = fleet.bench.facts["seq"]
    assert run("publish", "--repair", site.root, "--above", seq, "--days", 3650).code == 0
    fleet.check(site)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "empty": lambda text: b"",
    "half": lambda text: text[:200],
    "tampered": lambda text: text.replace(b'"percent":10', b'"percent":99'),
    "zeros": lambda text: bytes(len(text)),
}
VERBS = {
    "publish": lambda site, release, image: ("publish", release, site.root, "--image", image),
    "refresh": lambda site, release, image: ("publish", "--refresh", site.root),
    "promote": lambda site, release, image: ("promote", site.root, "--percent", "20"),
}


@pytest.mark.sampled(15, kind=lambda damage, verb, has_mark: (damage, verb))
@pytest.mark.parametrize("has_mark", [True, False], ids=["with a mark", "without a mark"])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("verb", VERBS)
def test_a_damaged_head_is_cured_as_the_refusal_says(
    site: Store, publish: Publish, run: Run, ring: KeyRing, make_release: MakeRelease, firmware_file: Path,
    damage: str, verb: str, has_mark: bool,
) -> None:
    publish(7, percent=10)
    path = site.path(HEAD)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    if not has_mark:
        mark_path(ring).unlink()
    command = VERBS[verb](site, make_release(7), firmware_file)
    ran = run(*command)
    assert ran.code == 1 and str(path) in ran.err, ran

    repaired = follow(ran.err, run, site)

    if has_mark or damage == "CRLF":
        assert repaired.code == 0, repaired.err
        assert head_of(site).percent == 10
    else:
        assert repaired.code == 1 and "sensor/stable: its head cannot be used" in repaired.err
        assert "publish its release again" in repaired.err
        command = VERBS["publish"](site, make_release(7), firmware_file)
    assert run(*command).code == 0
    assert head_of(site).counter == 7


def test_a_whole_site_with_changed_line_ends_is_mended(
    site: Store, publish: Publish, run: Run, ring: KeyRing,
) -> None:
    """As a checkout with changed line ends makes it, the keys file included."""
    publish(7, percent=10)
    for folder in (site.root / "heads", site.root / "releases", site.root / "keys", ring.document.parent):
        for path in folder.rglob("*"):
            if path.suffix in (".head", ".release", ".keys", ".published"):
                path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    ran = run("publish", "--repair", site.root)
    assert ran.code == 0, ran.err
    assert ran.out.count("line ends mended: ") == 4
    assert run("promote", site.root, "--percent", 50).code == 0


def test_a_damaged_mark_is_made_anew(site: Store, publish: Publish, run: Run, ring: KeyRing) -> None:
    publish(7, percent=10)
    mark_path(ring).write_text("{")
    ran = run("promote", site.root, "--percent", 50)
    assert ran.code == 1 and str(mark_path(ring)) in ran.err
    assert run("publish", "--repair", site.root).code == 0
    assert run("promote", site.root, "--percent", 50).code == 0
    assert HighWater.beside(ring.document, PRODUCT).head("stable") == head_of(site)


def test_keys_in_the_site_that_cannot_be_read_are_copied_anew(
    site: Store, publish: Publish, run: Run, ring: KeyRing,
) -> None:
    publish(7)
    site.path(store.keys_name(PRODUCT)).write_bytes(b"")
    ran = run("publish", "--refresh", site.root)
    assert ran.code == 1
    assert follow(ran.err, run, site).code == 0
    assert site.read(store.keys_name(PRODUCT)) == ring.document.read_bytes()


def test_a_release_whose_line_ends_changed_is_mended_as_the_refusal_says(
    site: Store, publish: Publish, run: Run,
) -> None:
    path = site.path(store.release_name(publish(7, percent=10).release))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    ran = run("promote", site.root, "--percent", 50)
    assert ran.code == 1 and "publish it again; if only its line ends changed, run" in ran.err
    assert follow(ran.err, run, site).code == 0
    assert run("promote", site.root, "--percent", 50).code == 0


def test_repair_says_what_it_cannot_bring_back(site: Store, publish: Publish, run: Run) -> None:
    publish(7)
    shutil.rmtree(site.root)
    ran = run("publish", "--repair", site.root)
    assert ran.code == 1 and "counter 7, whose release is missing; publish it again" in ran.err
    publish(7, NOW + DAY)
    next((site.root / "images").iterdir()).unlink()
    ran = run("publish", "--repair", site.root)
    assert ran.code == 1 and re.search(r"counter 7, whose images/.* is missing; publish it again", ran.err)


def test_repair_of_nothing_is_an_error(site: Store, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="nothing is known of what was published for sensor: .*; publish a release"):
        repair_site(site, ring.document, ring.load("online"), NOW)


def test_an_emptied_site_is_refreshed_only_by_repair(site: Store, publish: Publish, run: Run) -> None:
    """A channel whose head was removed on purpose stays away; a whole site does not."""
    publish(7)
    publish(7, channel="beta")
    site.path(store.head_name(PRODUCT, "beta")).unlink()
    assert run("publish", "--refresh", site.root).out.count("head seq") == 1
    site.path(HEAD).unlink()
    ran = run("pause", site.root)
    assert ran.code == 1 and "publish --repair" in ran.err
    ran = run("publish", "--refresh", site.root)
    assert ran.code == 1 and "nothing is published for sensor" in ran.err
    assert follow(ran.err, run, site).out.count("head seq") == 2


FUTURE = NOW + 3 * YEAR


def test_a_publish_with_a_clock_in_the_future_is_cured(
    site: Store, publish: Publish, run: Run, vm: CPythonVM,
) -> None:
    """Boards that saw the date take it as the earliest time it can be. Those that did not go on as before."""
    misled, behind = PolicyBoard(vm), PolicyBoard(vm, clock=NOW + DAY)
    publish(7, FUTURE)
    misled.check(site)

    ran = run("promote", site.root, "--percent", 100)
    assert ran.code == 1 and "was issued at 2028-06-14 15:06:40 UTC, later than now" in ran.err
    repaired = follow(ran.err, run, site)

    assert repaired.code == 0, repaired.err
    assert "boards may have seen the date 2028-06-14" in repaired.err
    for board in (misled, behind):
        board.check(site)
    assert head_of(site).issued == NOW + DAY
    assert run("publish", "--refresh", site.root, now=NOW + 2 * DAY).code == 0, "and from then on all is as before"
    misled.check(site)


def test_a_release_from_the_future_is_refused(
    site: Store, run: Run, make_release: MakeRelease, firmware_file: Path,
) -> None:
    ran = run("publish", make_release(7), site.root, "--image", firmware_file, now=NOW - 2 * DAY)
    assert ran.code == 1 and "was built at 2025-06-15 15:06:40 UTC, later than now" in ran.err


def test_a_clock_that_jumps_years_ahead_is_doubted(site: Store, publish: Publish, run: Run) -> None:
    publish(7)
    ran = run("publish", "--refresh", site.root, now=NOW + 2 * YEAR)
    assert ran.code == 1 and "clock says 2027-06-15" in ran.err
    assert head_of(site).issued == NOW
    assert run("publish", "--refresh", site.root, now=NOW + YEAR).code == 0
    assert run("publish", "--repair", site.root, now=NOW + 3 * YEAR).code == 0, "where it is right"


def test_an_expired_head_is_cured_as_explain_says(site: Store, publish: Publish, run: Run, vm: CPythonVM) -> None:
    publish(7)
    late = PolicyBoard(vm, clock=NOW + 40 * DAY)
    late.refuses(site, 34)
    found = re.search(r"`slotbench release (.*?)`", explain(34).advice)
    assert found and "--refresh" in found[1]
    assert run("publish", "--refresh", site.root, now=NOW + 40 * DAY).code == 0
    late.check(site)


def test_the_last_seq_is_never_passed(site: Store, publish: Publish, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="no seq left in key epoch 1; set the clock of this computer"):
        publish(7, 2**31 + 1_577_836_800)


def test_a_withdrawn_release_stays_withdrawn(
    site: Store, publish: Publish, ring: KeyRing,
) -> None:
    publish(6)
    publish(7)
    channel = Channel(site, ring.document, ring.load("online"))
    channel.withdraw(NOW + 1)
    site.path(HEAD).with_suffix(".withdrawn").unlink()
    publish(8, NOW + 2)
    assert channel.withdraw(NOW + 3).counter == 6


def test_a_crash_between_two_writes_never_makes_two_heads_of_one_seq(
    site: Store, publish: Publish, monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(7)
    real, calls = Store.write, []

    def write(self: Store, name: str, data: bytes) -> bool:
        calls.append(name)
        if name == HEAD:
            raise BenchError("cut")
        return real(self, name, data)

    monkeypatch.setattr(Store, "write", write)
    with pytest.raises(BenchError, match="cut"):
        publish(8)
    monkeypatch.undo()
    assert publish(8).seq == SEQ + 2, "the seq between was used up"


def test_a_folder_of_keys_that_cannot_be_written_is_said(
    site: Store, publish: Publish, run: Run, ring: KeyRing,
) -> None:
    mark_path(ring).mkdir()
    ran = run("publish", "--repair", site.root)
    assert ran.code == 1 and "nothing is known" in ran.err
    publish(7)
    ran = run("publish", "--refresh", site.root)
    assert ran.code == 0
    assert ran.err.count("is not written down beside the keys; only the site knows it") == 1


def test_keys_that_were_dropped_are_said(
    slotbench: RunCommand, site: Store, publish: Publish, run: Run, ring: KeyRing,
) -> None:
    """The heads are signed all the same: boards must learn of the new keys at once."""
    publish(7)
    folder = ring.document.parent
    rotate = ("keys", "rotate", folder, "--product", PRODUCT)
    assert slotbench(*rotate, "--key", ring.offline, "--add-offline").code == 0
    added = folder / "offline-2.pem"
    assert slotbench(*rotate, "--key", added, "--drop-offline", ring.offline).code == 0
    ran = run("publish", "--refresh", site.root)
    assert ran.code == 1 and head_of(site).epoch == 3
    assert re.search(
        r"sensor/stable offers counter 7, which boards refuse: key .* is not a key of sensor; sign it with", ran.err)


def test_leftovers_of_killed_publishes_go(site: Store, publish: Publish) -> None:
    publish(7)
    left = [site.path(HEAD).with_name(".stable.head.0a1b2c3d.tmp"), site.root / "images" / ".x.bin.00000000.tmp"]
    mine = site.root / ".notes.txt.00000000.tmp"
    for path in (*left, mine):
        path.write_bytes(b"half")
    publish(7, NOW + 1)
    assert not any(path.exists() for path in left)
    assert mine.exists(), "what is not of the site's folders is left alone"
