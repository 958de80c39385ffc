"""What must hold of a board that is attacked, and what an attacker has: old documents, stolen keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slotbench.formats.document import Document as Signed
from slotbench.formats.head import Head
from slotbench.release import store
from slotbench.release.keys import SigningKey
from support.faulty_server.cases import Resource
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS, PRODUCT, TestBed

HEAD = Resource.HEAD.value
RELEASE = Resource.RELEASE.value
TABLE = Resource.TABLE.value
IMAGE = Resource.IMAGE.value
HEAD_NAME = store.head_name(PRODUCT, "stable")
DAY_S = 86400


def require_refusal(scene: Scene, *codes: int, minutes: int = 30) -> None:
    """For so long the board refuses with these codes and no other; nothing it runs from or keeps changes."""
    if not scene.board.boots:
        scene.board.power_on()
    before, boots = scene.kept(), len(scene.board.boots)
    runs = scene.board.result.counter
    since = scene.board.clock.ms
    scene.board.run(minutes * MINUTES_MS)
    new = {refusal.code for refusal in scene.refusals if refusal.at_ms >= since}
    assert new - {1} == set(codes), f"refused with {sorted(new)}"
    assert scene.runs(runs) and len(scene.board.boots) == boots and scene.kept() == before
    scene.require_calm()


def require_update(scene: Scene, counter: int, hours: int = 2) -> None:
    """With the attack over the board takes the true release, and confirms it."""
    scene.server.clear_faults()
    if not scene.board.boots:
        scene.board.power_on()
    scene.board.run(hours * HOURS_MS, until=lambda: scene.runs(counter))
    assert scene.runs(counter), f"not confirmed; the board's log: {scene.refusals}"
    scene.require_calm()


def served(testbed: TestBed, name: str) -> bytes:
    """A file as it is published now: what an attacker can keep."""
    content = testbed.publisher.site.read(name)
    assert content is not None
    return content


def head_now(testbed: TestBed) -> Head:
    """The head that is published now."""
    return Head.from_payload(served(testbed, HEAD_NAME).partition(b"\n")[0])


def head_by_thief(testbed: TestBed, key: SigningKey | None = None, **changes: Any) -> bytes:
    """The published head with changes, signed by the stolen online key, or by another one."""
    key = key or testbed.publisher.online
    return key.sign(replace(head_now(testbed), **changes).to_payload()).pack()


def resigned(signed: bytes, key: SigningKey, *, under: str | None = None) -> bytes:
    """The same payload, signed by another key, and said to be by the key with the id `under`."""
    payload = signed.partition(b"\n")[0]
    made = key.sign(payload)
    return Signed(payload, under or made.key_id, made.signature).pack()
