"""The attacks that the Uptane standard (2.1.0, section 4.3) names, each against a board: what is stopped, and what is not.

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
from werkzeug.test import Client

from slotbench.formats.document import split_document
from slotbench.formats.journal import SlotState
from slotbench.release import store
from slotbench.release.keys import SigningKey
from slotbench.release.publish import Rollout
from slotbench.server import create_app
from slotbench.vboard.network.base import EINPROGRESS, NAME_UNKNOWN
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
from support.faulty_server.cases import Resource
from support.faulty_server.forgeries import Forger
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS, NOW, TestBed

NAMED = (
    "eavesdrop", "drop_request", "slow_retrieval", "freeze", "partial_bundle_installation", "denial_of_service",
    "rollback", "endless_data", "mix_and_match", "arbitrary_software",
    "mixed_bundles", "fast_forward", "key_compromise", "replay",
)
LAST_SEQ = 2**31 - 1
POLLS_AN_HOUR = 20
"""The shortest back-off of a refused board (tests/network/test_one_fault.py)."""


@pytest.fixture(scope="module")
def stranger() -> SigningKey:
    return signing_key("stranger")


@pytest.mark.parametrize("name", NAMED)
def test_every_attack_has_a_test(name: str) -> None:
    here = vars(sys.modules[__name__])
    assert any(other.startswith(f"test_{name}_attack") for other in here), name


# Read updates.


def test_eavesdrop_attack_gets_the_firmware_and_no_secret(scene: Scene) -> None:
    """A release is public and not encrypted. The board's secret never leaves the board."""
    secret = "correct horse battery staple"
    scene.put_file("/wifi.json", secret.encode())
    require_update(scene, 2)
    overheard = [request.sent.decode() for request in scene.server.requests]
    fetched = Client(scene.testbed.app).get(scene.server.requests_for(IMAGE)[0].path).get_data()
    assert fetched == scene.testbed.images[2], "an eavesdropper gets the image"
    unique = scene.board.soc.unique_id.hex()
    assert overheard and not [said for said in overheard if secret in said or unique in said]


# Deny installation of updates.


@pytest.mark.parametrize(("errno", "code"), [(EINPROGRESS, 3), (NAME_UNKNOWN, 2)], ids=["silent", "no name"])
def test_drop_request_attack(scene: Scene, errno: int, code: int) -> None:
    """Nothing gets through: the application runs on, the board checks seldom, and updates when it can again."""
    scene.server.inject(errno=errno)
    require_refusal(scene, code, minutes=6 * 60)
    assert scene.longest_tick_ms <= 10_500, "ten seconds are given to a port that does not answer"
    assert scene.server.connections == 0
    require_update(scene, 2)


@pytest.mark.parametrize("document", [HEAD, IMAGE], ids=["head", "image"])
def test_slow_retrieval_attack(scene: Scene, document: str) -> None:
    """At 10 bytes a second a megabyte takes 19 hours: the board closes the connection."""
    scene.server.inject(on=document, drip=(10, 1000))
    require_refusal(scene, 11)
    assert scene.longest_tick_ms <= 38_500
    require_update(scene, 2)


def test_slow_retrieval_attack_leaves_slow_networks_alone(scene: Scene) -> None:
    """A download just above the lowest accepted rate continues."""
    scene.server.inject(on=IMAGE, drip=(600, 1000))
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2)


def test_freeze_attack_on_a_board_that_has_seen_more(own: Scene) -> None:
    """A signed head of the past."""
    own.testbed.publish(2)
    old = served(own.testbed, HEAD_NAME)
    own.testbed.publish(3, rollout=Rollout(percent=0))
    own.board.power_on()
    own.board.run(30 * MINUTES_MS)
    own.server.inject(on=HEAD, instead=old)
    require_refusal(own, 35, minutes=6 * 60)
    own.testbed.publish(4)
    require_update(own, 4)


def test_freeze_attack_on_a_board_with_a_clock_ends_with_the_heads_expiry(own: Scene) -> None:
    """Without a newer head the old one is accepted until it expires."""
    own.testbed.publish(2)
    frozen = served(own.testbed, HEAD_NAME)
    own.server.inject(on=HEAD, instead=frozen)
    own.board.power_on()
    own.board.run(HOURS_MS)
    assert own.runs(2)
    later = NOW + 31 * DAY_S
    days = f"(*time.gmtime({later} - 946684800)[:3], 0, 0, 0, 0, 0)"
    own.board.run_line(f"import machine, time; machine.RTC().datetime({days})")
    require_refusal(own, 34, minutes=6 * 60)
    image = own.testbed.images[3] = own.testbed.firmware("3.0.0")
    own.testbed.publisher.publish(image, [own.testbed.profile], version="3.0.0", counter=3, now=later)
    require_update(own, 3)


def test_freeze_attack_on_a_board_without_a_clock_is_not_noticed_there(own: Scene) -> None:
    """As security.md says. The board keeps its release and accepts the next newer head."""
    own.testbed.publish(2)
    own.server.inject(on=HEAD, instead=served(own.testbed, HEAD_NAME))
    own.board.power_on()
    own.board.run(HOURS_MS)
    own.testbed.publish(3)
    require_refusal(own, 28, minutes=24 * 60)
    assert own.runs(2)
    require_update(own, 3)


def test_freeze_attack_neither_bans_a_release_nor_moves_the_board(own: Scene) -> None:
    """A recorded head proves that the new firmware reaches a server, as that of a slow cache does. It offers nothing."""
    own.testbed.publish(2)
    old = served(own.testbed, HEAD_NAME)
    own.testbed.publish(3)
    newest = head_now(own.testbed).seq
    own.board.power_on()
    own.board.run(HOURS_MS, until=lambda: len(own.board.boots) == 2)
    own.server.inject(on=HEAD, instead=old)
    own.board.run(40 * MINUTES_MS)
    assert own.runs(3) and own.board.cell is not None
    assert (own.board.cell.head_seq, own.board.cell.bad_counter) == (newest, 0), "the newer head is remembered"


@pytest.mark.parametrize("blocked", [TABLE, IMAGE], ids=["table", "image"])
def test_partial_bundle_installation_attack(scene: Scene, blocked: str) -> None:
    """A part of the release is withheld, so nothing is installed: no state has half a release."""
    scene.server.inject(on=blocked, status=404)
    require_refusal(scene, 7)
    cell = scene.board.cell
    assert cell is not None and (cell.active, cell.state_b) == (0, SlotState.EMPTY)
    scene.board.power_off()
    scene.board.power_on()
    scene.board.run(MINUTES_MS)
    assert scene.runs(1)
    require_update(scene, 2)


def test_denial_of_service_attack_on_the_server_is_not_made_worse_by_boards(scene: Scene) -> None:
    """Boards obey Retry-After and wait longer each time."""
    scene.server.inject(status=503)
    require_refusal(scene, 7)
    assert len(scene.server.requests) <= POLLS_AN_HOUR
    require_update(scene, 2)


def test_denial_of_service_attack_on_the_server_is_over_with_a_copy_of_its_directory(
    own: Scene, tmp_path: Path,
) -> None:
    """A copy of the files on any server restores the service; boards trust only signatures."""
    own.testbed.publish(2)
    copy = tmp_path / "copy"
    shutil.copytree(own.testbed.publisher.site.root, copy)
    shutil.rmtree(own.testbed.publisher.site.root)
    require_refusal(own, 7)
    own.origin.app = create_app(copy)
    require_update(own, 2)


# Interfere with functionality.


def test_rollback_attack(own: Scene) -> None:
    """Release 2 has a known hole. A thief of the online key offers it, and no board installs it."""
    own.testbed.publish(2)
    old = head_now(own.testbed)
    own.testbed.publish(3, floor=3)
    require_update(own, 3)
    again = head_by_thief(own.testbed, release=old.release, counter=2, seq=head_now(own.testbed).seq + 1)
    own.server.inject(on=HEAD, instead=again)
    require_refusal(own, 28)
    assert "28 up-to-date (offered 2, " in own.board.run_line("twoslot.update(force=True)"), "force does not lift it"
    assert "65" in own.board.run_line("twoslot.rollback()"), "nor does a person at the REPL get below the floor"
    own.testbed.publish(4)
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
    """Every length has a limit: the board reads at most one buffer and a head before it refuses."""
    fault = scene.server.inject(**ENDLESS[where])
    require_refusal(scene, code)
    assert fault.used >= 2
    assert max(request.received for request in scene.server.requests if request.fault) <= 2 * 4096 + 257
    require_update(scene, 2)


def test_mix_and_match_attack_with_a_stolen_online_key(own: Scene) -> None:
    """Head and release are both signed but do not belong together."""
    own.testbed.publish(2)
    two = head_now(own.testbed)
    own.testbed.publish(3, rollout=Rollout(percent=0))
    seq = head_now(own.testbed).seq + 1
    own.server.inject(on=HEAD, instead=head_by_thief(own.testbed, release=two.release, percent=100, seq=seq))
    require_refusal(own, 37)
    assert not own.server.requests_for(TABLE)
    own.testbed.publish(4)
    require_update(own, 4)


@pytest.mark.parametrize(
    ("document", "name", "code"), [
        (Resource.RELEASE, "another release", 37), (Resource.TABLE, "of another image", 13),
        (Resource.IMAGE, "another image", 12), (Resource.IMAGE, "the running image", 12),
        (Resource.IMAGE, "blocks in another order", 12),
    ], ids=["release", "table", "image", "running-image", "blocks"])
def test_mixed_bundles_attack(scene: Scene, document: Resource, name: str, code: int) -> None:
    """Signed parts of other releases take the place of the right ones."""
    forgery = Forger(scene.testbed).make(document, name)
    scene.server.inject(on=document.value, instead=forgery.content)
    require_refusal(scene, code)
    require_update(scene, 2)


# Control.


def _by_online(testbed: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return resigned(release, testbed.publisher.online)


def _by_stranger(testbed: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return resigned(release, stranger)


def _by_impostor(testbed: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return resigned(release, stranger, under=testbed.publisher.offline.key_id)


def _unsigned(testbed: TestBed, release: bytes, stranger: SigningKey) -> bytes:
    return release.partition(b"\n")[0] + b"\n"


@pytest.mark.parametrize(
    ("forge", "code"), [(_by_online, 21), (_by_stranger, 21), (_by_impostor, 22), (_unsigned, 20)],
    ids=["by-the-online-key", "by-a-stranger", "under-the-offline-keys-name", "unsigned"])
def test_arbitrary_software_attack_by_a_release(
    scene: Scene, stranger: SigningKey, forge: Callable[[TestBed, bytes, SigningKey], bytes], code: int,
) -> None:
    """Firmware is introduced by the offline key, and by nothing else."""
    release = served(scene.testbed, store.release_name(head_now(scene.testbed).release))
    scene.server.inject(on=RELEASE, instead=forge(scene.testbed, release, stranger))
    require_refusal(scene, code)
    assert not scene.server.requests_for(TABLE) and not scene.server.requests_for(IMAGE)
    require_update(scene, 2)


@pytest.mark.parametrize("byte", [0, 5000, -1])
def test_arbitrary_software_attack_by_an_altered_image(scene: Scene, byte: int) -> None:
    """One bit anywhere in the image, also in the last block when all others are in place."""
    changed = bytearray(scene.testbed.images[2])
    changed[byte] ^= 1
    path = store.image_name(hashlib.sha256(scene.testbed.images[2]).hexdigest())

    def altered(environ: dict[str, Any], start_response: Any) -> Any:
        body = b"".join(scene.testbed.app(environ, start_response))
        if environ["PATH_INFO"] != f"/{path}":
            return [body]
        first = int(environ.get("HTTP_RANGE", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        return [bytes(changed[first : first + len(body)])]

    scene.origin.app = altered
    require_refusal(scene, 12)
    cell = scene.board.cell
    assert cell is not None and cell.state_b is SlotState.EMPTY
    scene.origin.app = scene.testbed.app
    require_update(scene, 2)


# Of older editions, and of TUF.


def test_fast_forward_attack(own: Scene, stranger: SigningKey) -> None:
    """The thief of the online key uses the highest seq. True heads are then too old, and boards keep their release until
    the offline key makes a new epoch: seq begins anew in it.
    """
    own.testbed.publish(2)
    require_update(own, 2)
    own.server.inject(on=HEAD, instead=head_by_thief(own.testbed, seq=LAST_SEQ))
    require_refusal(own, 28)
    own.server.clear_faults()
    own.testbed.publish(3)
    require_refusal(own, 35)
    own.testbed.publisher.rotate(NOW + 4, online=stranger)
    own.testbed.publish(4)
    require_update(own, 4)


def test_key_compromise_attack_with_the_online_key(own: Scene, stranger: SigningKey) -> None:
    """It can choose among releases of this channel that the offline key signed, and add none."""
    own.testbed.publish(2, rollout=Rollout(percent=0))
    own.board.power_on()
    own.board.run(30 * MINUTES_MS)
    assert own.codes == {39}, "the publisher holds the release back"
    release = served(own.testbed, store.release_name(head_now(own.testbed).release))
    forged = resigned(release.replace(b"2.0.0", b"6.6.6", 1), own.testbed.publisher.online)
    own.server.inject(on=RELEASE, status=200, instead=forged)
    seq = head_now(own.testbed).seq + 1
    own.server.inject(
        on=HEAD, instead=head_by_thief(own.testbed, percent=100, seq=seq, release=split_document(forged).digest))
    require_refusal(own, 21)
    own.server.clear_faults()
    own.server.inject(on=HEAD, instead=head_by_thief(own.testbed, percent=100, seq=seq + 1))
    own.board.run(HOURS_MS)
    assert own.runs(2), "the thief can offer it to all boards at once, as security.md says"


def test_key_compromise_attack_with_the_offline_key_as_it_is(scene: Scene) -> None:
    """An offline key signs no head."""
    offline = scene.testbed.publisher.offline
    scene.server.inject(on=HEAD, instead=head_by_thief(scene.testbed, offline, counter=9, seq=LAST_SEQ))
    require_refusal(scene, 21)
    require_update(scene, 2)


def test_key_compromise_attack_with_the_offline_key_is_not_stopped(own: Scene, stranger: SigningKey) -> None:
    """As security.md says: the thief makes an epoch with an online key of their own, and controls the boards."""
    robbed = own.testbed.publisher.online
    own.testbed.publisher.rotate(NOW + 1, online=stranger)
    own.testbed.publish(2)
    require_update(own, 2)
    own.server.inject(on=HEAD, instead=head_by_thief(own.testbed, robbed, epoch=1, seq=LAST_SEQ))
    require_refusal(own, 21)


def test_key_compromise_attack_ends_with_the_key(own: Scene, stranger: SigningKey) -> None:
    """Both keys are stolen and replaced through a second offline key. What they signed is refused."""
    publisher = own.testbed.publisher
    thief, offline = publisher.online, publisher.offline
    publisher.rotate(NOW + 1, add=stranger)
    publisher.rotate(NOW + 2, online=SigningKey.generate(), drop=offline.key_id)
    own.testbed.publish(2)
    require_update(own, 2)
    forged = resigned(served(own.testbed, store.release_name(head_now(own.testbed).release)), offline)
    own.server.inject(on=RELEASE, status=200, instead=forged)
    own.server.inject(on=HEAD, instead=head_by_thief(own.testbed, thief, counter=9, release=split_document(forged).digest))
    require_refusal(own, 21)
    own.server.clear_faults()
    own.server.inject(on=HEAD, instead=head_by_thief(own.testbed, counter=9, release=split_document(forged).digest))
    own.server.inject(on=RELEASE, status=200, instead=forged)
    require_refusal(own, 21)
    own.testbed.publish(3)
    require_update(own, 3)


def test_replay_attack_from_another_channel_or_product(scene: Scene) -> None:
    """A signed head names its channel and product."""
    testbed = scene.testbed
    for changes, code in (({"channel": "beta"}, 27), ({"product": "kettle"}, 25)):
        scene.server.inject(on=HEAD, instead=head_by_thief(testbed, **changes))
        require_refusal(scene, code)
        scene.server.clear_faults()
    require_update(scene, 2)
