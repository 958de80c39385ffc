"""The attacks that the Uptane standard (2.1.0, section 4.3) names, each against a board; what holds, and what not.

Editions before 2.0 also name mixed bundles; fast-forward, key compromise and replay come from its root, TUF.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slotbench.formats.document import split
from slotbench.formats.journal import SlotState
from slotbench.formats.rtc import Why
from slotbench.release import store
from slotbench.release.keys import SigningKey
from slotbench.release.publish import Rollout
from slotbench.server import create_app
from support.attacks import (
    DAY_S,
    HEAD,
    HEAD_NAME,
    IMAGE,
    RELEASE,
    TABLE,
    head_by_thief,
    head_now,
    require_refusal,
    require_update,
    resigned,
    served,
)
from support.device.board import signing_key
from support.faulty_server.cases import Document
from support.faulty_server.forgeries import Forger
from support.faulty_server.scene import Scene
from support.faulty_server.server import ReleaseSimulator
from support.testbed import HOURS_MS, MINUTES_MS, NOW, TestBed

NAMED = (
    "eavesdrop", "drop_request", "slow_retrieval", "freeze", "partial_bundle_installation", "denial_of_service",
    "rollback", "endless_data", "mix_and_match", "arbitrary_software",
    "mixed_bundles", "fast_forward", "key_compromise", "replay",
)
LAST_SEQ = 2**31 - 1
POLLS_AN_HOUR = 20
"""Of a board that is refused: the backoff at its shortest (tests/network/test_one_fault.py)."""


@pytest.fixture(scope="module")
def stranger() -> SigningKey:
    return signing_key("stranger")


@pytest.mark.parametrize("name", NAMED)
def test_every_attack_has_a_test(name: str) -> None:
    here = vars(sys.modules[__name__])
    assert any(other.startswith(f"test_{name}_attack") for other in here), name


# Read updates.


def test_eavesdrop_attack_gets_the_firmware_and_no_secret(scene: Scene) -> None:
    """A release is public by design: nothing in it is encrypted. What is only the board's never leaves it."""
    secret = "correct horse battery staple"
    scene.put_file("/wifi.json", secret.encode())
    overheard: list[str] = []
    right = scene.server.deliver

    def listen(path: str, fields: Any) -> Any:
        overheard.append(f"{path} {dict(fields)}")
        return right(path, fields)

    scene.server.deliver = listen  # type: ignore[method-assign]
    require_update(scene, 2)
    fetched = scene.server.answer(scene.server.asked_for(IMAGE)[0].path, {})[0].body
    assert fetched == scene.world.images[2], "whoever listens can keep the image"
    unique = scene.board.chip.unique_id.hex()
    assert overheard and not [said for said in overheard if secret in said or unique in said]


# Deny installation of updates.


@pytest.mark.parametrize(("drop", "code"), [("silent", 3), ("names_fail", 2)])
def test_drop_request_attack(scene: Scene, drop: str, code: int) -> None:
    """Nothing gets through: the application works on, the board asks seldom, and updates when it can again."""
    setattr(scene.server, drop, True)
    require_refusal(scene, code, minutes=6 * 60)
    assert scene.longest_tick_ms <= 10_500, "ten seconds are given to a port that does not answer"
    assert scene.server.connections == 0
    setattr(scene.server, drop, False)
    require_update(scene, 2)


@pytest.mark.parametrize("document", [HEAD, IMAGE], ids=["head", "image"])
def test_slow_retrieval_attack(scene: Scene, document: str) -> None:
    """Ten bytes a second would take nineteen hours for a megabyte: it is no download, and is hung up on."""
    scene.server.misbehave(on=document, drip=(10, 1000))
    require_refusal(scene, 11)
    assert scene.longest_tick_ms <= 38_500
    require_update(scene, 2)


def test_slow_retrieval_attack_leaves_slow_networks_alone(scene: Scene) -> None:
    """Just above the floor rate it is a download."""
    scene.server.misbehave(on=IMAGE, drip=(600, 1000))
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2)


def test_freeze_attack_on_a_board_that_has_seen_more(own: Scene) -> None:
    """An old head that was right once."""
    own.world.publish(2)
    old = served(own.world, HEAD_NAME)
    own.world.publish(3, rollout=Rollout(percent=0))
    own.board.power_on()
    own.board.run(30 * MINUTES_MS)
    own.server.misbehave(on=HEAD, instead=old)
    require_refusal(own, 35, minutes=6 * 60)
    own.world.publish(4)
    require_update(own, 4)


def test_freeze_attack_on_a_board_with_a_clock_ends_with_the_heads_expiry(own: Scene) -> None:
    """No newer head was ever seen; the old one is believed for as long as it says, and then no more."""
    own.world.publish(2)
    frozen = served(own.world, HEAD_NAME)
    own.server.misbehave(on=HEAD, instead=frozen)
    own.board.power_on()
    own.board.run(HOURS_MS)
    assert own.runs(2)
    later = NOW + 31 * DAY_S
    days = f"(*time.gmtime({later} - 946684800)[:3], 0, 0, 0, 0, 0)"
    own.board.repl(f"import machine, time; machine.RTC().datetime({days})")
    require_refusal(own, 34, minutes=6 * 60)
    image = own.world.images[3] = own.world.firmware("3.0.0")
    own.world.workshop.publish(image, [own.world.map], version="3.0.0", counter=3, now=later)
    require_update(own, 3)


def test_freeze_attack_on_a_board_without_a_clock_is_not_noticed_there(own: Scene) -> None:
    """What DESIGN.md says it cannot do: it runs what it ran, unharmed, and takes the next head that it is shown."""
    own.world.publish(2)
    own.server.misbehave(on=HEAD, instead=served(own.world, HEAD_NAME))
    own.board.power_on()
    own.board.run(HOURS_MS)
    own.world.publish(3)
    require_refusal(own, 28, minutes=24 * 60)
    assert own.runs(2)
    require_update(own, 3)


def test_freeze_attack_confirms_no_trial(own: Scene) -> None:
    """A kept head is no proof that the new firmware reaches its server."""
    own.world.publish(2)
    old = served(own.world, HEAD_NAME)
    own.world.publish(3)
    own.board.power_on()
    own.board.run(HOURS_MS, until=lambda: len(own.board.boots) == 2)
    own.server.misbehave(on=HEAD, instead=old)
    own.board.run(40 * MINUTES_MS)
    assert own.board.boots[-1].why is Why.FALLBACK and own.runs(1)
    require_update(own, 3)


@pytest.mark.parametrize("blocked", [TABLE, IMAGE], ids=["table", "image"])
def test_partial_bundle_installation_attack(scene: Scene, blocked: str) -> None:
    """A part of the release is withheld: none of it counts. There is no state in which half of it is installed."""
    scene.server.misbehave(on=blocked, status=404)
    require_refusal(scene, 7)
    cell = scene.board.cell
    assert cell is not None and (cell.active, cell.state_b) == (0, SlotState.EMPTY)
    scene.board.power_off()
    scene.board.power_on()
    scene.board.run(MINUTES_MS)
    assert scene.runs(1)
    require_update(scene, 2)


def test_denial_of_service_attack_on_the_server_is_not_made_worse_by_boards(scene: Scene) -> None:
    """They wait as they are asked to, and longer each time."""
    scene.server.misbehave(status=503)
    require_refusal(scene, 7)
    assert len(scene.server.served) <= POLLS_AN_HOUR
    require_update(scene, 2)


def test_denial_of_service_attack_on_the_server_is_over_with_a_copy_of_its_directory(
    own: Scene, tmp_path: Path,
) -> None:
    """Nothing that a board trusts lives on the server alone: files, copied anywhere, are a server."""
    own.world.publish(2)
    copy = tmp_path / "copy"
    shutil.copytree(own.world.workshop.site.root, copy)
    shutil.rmtree(own.world.workshop.site.root)
    require_refusal(own, 7)
    elsewhere = ReleaseSimulator(create_app(copy))
    own.server.answer = elsewhere.answer  # type: ignore[method-assign]
    require_update(own, 2)


# Interfere with functionality.


def test_rollback_attack(own: Scene) -> None:
    """Release 2 was right once and has a hole; the thief of the online key can offer it, and nobody takes it."""
    own.world.publish(2)
    old = head_now(own.world)
    own.world.publish(3, floor=3)
    require_update(own, 3)
    again = head_by_thief(own.world, release=old.release, counter=2, seq=3)
    own.server.misbehave(on=HEAD, instead=again)
    require_refusal(own, 28)
    assert "up to date, 2 is offered" in own.board.repl("twoslot.update(force=True)"), "force does not lift it"
    assert "65" in own.board.repl("twoslot.rollback()"), "nor does a person at the REPL get below the floor"
    own.world.publish(4)
    require_update(own, 4)


ENDLESS: dict[str, dict[str, Any]] = {
    "head": {"on": HEAD, "raw": b"HTTP/1.1 200 OK\r\n\r\n", "endless": b"x" * 97},
    "headers": {"on": HEAD, "raw": b"HTTP/1.1 200 OK\r\n", "endless": b"X-Filler: more and more\r\n"},
    "release": {"on": RELEASE, "raw": b"HTTP/1.1 200 OK\r\n\r\n", "endless": b"x" * 97},
    "table": {"on": TABLE, "raw": b"HTTP/1.1 200 OK\r\n\r\n", "endless": b"x" * 97},
    "image": {"on": IMAGE, "raw": b"HTTP/1.1 200 OK\r\n\r\n", "endless": b"x" * 97},
}


@pytest.mark.parametrize(
    ("where", "code"), [("head", 9), ("headers", 9), ("release", 9), ("table", 13), ("image", 12)])
def test_endless_data_attack(scene: Scene, where: str, code: int) -> None:
    """Every length has a limit: one buffer and a head are all that is ever taken before it is refused."""
    fault = scene.server.misbehave(**ENDLESS[where])
    require_refusal(scene, code)
    assert fault.used >= 2
    assert max(served.taken for served in scene.server.served if served.fault) <= 2 * 4096 + 257
    require_update(scene, 2)


def test_mix_and_match_attack_with_a_stolen_online_key(own: Scene) -> None:
    """Head and release are both signed, and were never meant together."""
    own.world.publish(2)
    two = head_now(own.world)
    own.world.publish(3, rollout=Rollout(percent=0))
    own.server.misbehave(on=HEAD, instead=head_by_thief(own.world, release=two.release, percent=100, seq=3))
    require_refusal(own, 37)
    assert not own.server.asked_for(TABLE)
    own.world.publish(4)
    require_update(own, 4)


@pytest.mark.parametrize(
    ("document", "name", "code"), [
        (Document.RELEASE, "another release", 37), (Document.TABLE, "of another image", 13),
        (Document.IMAGE, "another image", 12), (Document.IMAGE, "the running image", 12),
        (Document.IMAGE, "blocks in another order", 12),
    ], ids=["release", "table", "image", "running-image", "blocks"])
def test_mixed_bundles_attack(scene: Scene, document: Document, name: str, code: int) -> None:
    """Parts of other releases, each of them signed or measured once, in place of the right ones."""
    forgery = Forger(scene.world).make(document, name)
    scene.server.misbehave(on=document.value, instead=forgery.content)
    require_refusal(scene, code)
    require_update(scene, 2)


# Control.


def _by_online(world: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return resigned(release, world.workshop.online)


def _by_stranger(world: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return resigned(release, stranger)


def _by_impostor(world: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return resigned(release, stranger, under=world.workshop.offline.key_id)


def _unsigned(world: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return release.partition(b"\n")[0] + b"\n"


@pytest.mark.parametrize(
    ("forge", "code"), [(_by_online, 21), (_by_stranger, 21), (_by_impostor, 22), (_unsigned, 20)],
    ids=["by-the-online-key", "by-a-stranger", "under-the-offline-keys-name", "unsigned"])
def test_arbitrary_software_attack_by_a_release(
    scene: Scene, stranger: SigningKey, forge: Callable[[TestBed, bytes, SigningKey], bytes], code: int,
) -> None:
    """Firmware is introduced by the offline key, and by nothing else."""
    release = served(scene.world, store.release_name(head_now(scene.world).release))
    scene.server.misbehave(on=RELEASE, instead=forge(scene.world, release, stranger))
    require_refusal(scene, code)
    assert not scene.server.asked_for(TABLE) and not scene.server.asked_for(IMAGE)
    require_update(scene, 2)


@pytest.mark.parametrize("byte", [0, 5000, -1])
def test_arbitrary_software_attack_by_an_altered_image(scene: Scene, byte: int) -> None:
    """One bit anywhere in it; also in the very last block, when all others are in place."""
    changed = bytearray(scene.world.images[2])
    changed[byte] ^= 1
    path = store.image_name(hashlib.sha256(scene.world.images[2]).hexdigest())
    right = scene.server.answer

    def answer(asked: str, fields: Any) -> Any:
        found, fault = right(asked, fields)
        if asked != path:
            return found, fault
        first = int(fields["range"][6:].partition("-")[0]) if "range" in fields else 0
        return type(found)(found.status, found.headers, bytes(changed[first : first + len(found.body)])), fault

    scene.server.answer = answer  # type: ignore[method-assign]
    require_refusal(scene, 12)
    cell = scene.board.cell
    assert cell is not None and cell.state_b is SlotState.EMPTY
    scene.server.answer = right  # type: ignore[method-assign]
    require_update(scene, 2)


# Of older editions, and of TUF.


def test_fast_forward_attack(own: Scene, stranger: SigningKey) -> None:
    """A thief of the online key counts to the end: true heads are then too old, and what runs runs on. Until
    the offline key makes a new epoch: seq begins anew in it.
    """
    own.world.publish(2)
    require_update(own, 2)
    own.server.misbehave(on=HEAD, instead=head_by_thief(own.world, seq=LAST_SEQ))
    require_refusal(own, 28)
    own.server.behave()
    own.world.publish(3)
    require_refusal(own, 35)
    own.world.workshop.rotate(NOW + 4, online=stranger)
    own.world.publish(4)
    require_update(own, 4)


def test_key_compromise_attack_with_the_online_key(own: Scene, stranger: SigningKey) -> None:
    """It chooses among what the offline key signed for this channel, and introduces nothing."""
    own.world.publish(2, rollout=Rollout(percent=0))
    own.board.power_on()
    own.board.run(30 * MINUTES_MS)
    assert own.codes == {39}, "its owner holds it back"
    release = served(own.world, store.release_name(head_now(own.world).release))
    forged = resigned(release.replace(b"2.0.0", b"6.6.6", 1), own.world.workshop.online)
    own.server.misbehave(on=RELEASE, status=200, instead=forged)
    own.server.misbehave(
        on=HEAD, instead=head_by_thief(own.world, percent=100, seq=2, release=split(forged).digest))
    require_refusal(own, 21)
    own.server.behave()
    own.server.misbehave(on=HEAD, instead=head_by_thief(own.world, percent=100, seq=3))
    own.board.run(HOURS_MS)
    assert own.runs(2), "what it can do, and DESIGN.md says so: everybody gets it at once"


def test_key_compromise_attack_with_the_offline_key_as_it_is(scene: Scene) -> None:
    """A head is not its business."""
    offline = scene.world.workshop.offline
    scene.server.misbehave(on=HEAD, instead=head_by_thief(scene.world, offline, counter=9, seq=9))
    require_refusal(scene, 21)
    require_update(scene, 2)


def test_key_compromise_attack_with_the_offline_key_is_not_stopped(own: Scene, stranger: SigningKey) -> None:
    """What DESIGN.md says of it: its thief makes an epoch with an online key of his own, and is the owner then."""
    robbed = own.world.workshop.online
    own.world.workshop.rotate(NOW + 1, online=stranger)
    own.world.publish(2)
    require_update(own, 2)
    own.server.misbehave(on=HEAD, instead=head_by_thief(own.world, robbed, epoch=1, seq=50))
    require_refusal(own, 21)


def test_key_compromise_attack_ends_with_the_key(own: Scene, stranger: SigningKey) -> None:
    """Both keys were stolen, and are replaced with the help of a second offline key: what they signed is over."""
    workshop = own.world.workshop
    thief, offline = workshop.online, workshop.offline
    workshop.rotate(NOW + 1, add=stranger)
    workshop.rotate(NOW + 2, online=SigningKey.generate(), drop=offline.key_id)
    own.world.publish(2)
    require_update(own, 2)
    forged = resigned(served(own.world, store.release_name(head_now(own.world).release)), offline)
    own.server.misbehave(on=RELEASE, status=200, instead=forged)
    own.server.misbehave(on=HEAD, instead=head_by_thief(own.world, thief, counter=9, release=split(forged).digest))
    require_refusal(own, 21)
    own.server.behave()
    own.server.misbehave(on=HEAD, instead=head_by_thief(own.world, counter=9, release=split(forged).digest))
    own.server.misbehave(on=RELEASE, status=200, instead=forged)
    require_refusal(own, 21)
    own.world.publish(3)
    require_update(own, 3)


def test_replay_attack_from_another_channel_or_product(scene: Scene) -> None:
    """A head is for one channel of one product, and says so under its signature."""
    world = scene.world
    for changes, code in (({"channel": "beta"}, 27), ({"product": "kettle"}, 25)):
        scene.server.misbehave(on=HEAD, instead=head_by_thief(world, **changes))
        require_refusal(scene, code)
        scene.server.behave()
    require_update(scene, 2)
