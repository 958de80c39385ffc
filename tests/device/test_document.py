"""twoslot.trust.document, and how trust.policy reads its fields: two lines, the right key for the role, and the fields of FORMATS."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from slotbench.vboard.vm import CPythonVM
from support.device.board import refusal, signing_key
from support.device.policy import PolicyBench
from support.device.release import SignedOffer, head_fields, join, offer, payload, release_fields, signed

HEAD_FIELDS = (
    "product", "channel", "epoch", "seq", "release", "counter", "issued", "expires", "percent", "cohorts",
    "paused",
)
RELEASE_FIELDS = (
    "product", "boards", "channels", "version", "counter", "images", "fs_start", "fs_version", "mpy_abi",
    "floor",
)
IMAGE_FIELDS = ("url", "length", "sha256", "blocks", "blocks_url", "form")
TOO_BIG = 1 << 32
SECOND = 531
"""Bytes of the second line and of the line break before it."""


@pytest.fixture
def policy_bench(shared_vm: CPythonVM) -> PolicyBench:
    return PolicyBench(shared_vm)


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def offered_head(fields: Any) -> SignedOffer:
    """A right release, with this head, signed by the right key."""
    return SignedOffer(offer().release, signed(fields, "online"))


def offered_release(fields: Any) -> SignedOffer:
    """This release, with a right head that names it, both signed by the right keys."""
    line = fields if isinstance(fields, bytes) else payload(fields)
    return SignedOffer(signed(line, "offline"), signed(head_fields(line), "online"))


# Two lines.


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"", lambda text: b"\n", lambda text: text[: text.index(b"\n")],
        lambda text: text[: text.index(b"\n") + 1], lambda text: text[:-1], lambda text: text[:-60],
        lambda text: text + b"\n", lambda text: text + text, lambda text: b"\n" + text,
        lambda text: text.replace(b" ", b"", 1) if b" " not in text.split(b"\n")[0] else text[:-1],
        lambda text: text[: text.index(b"\n") + 17] + b"_" + text[text.index(b"\n") + 18 :],
    ],
    ids=[
        "empty", "a newline", "one line", "unsigned", "no last newline", "cut short", "a third line", "twice",
        "a newline first", "no space", "another separator",
    ],
)
@pytest.mark.parametrize("kind", ["head", "release"])
def test_anything_but_two_whole_lines_is_refused(policy_bench: PolicyBench, kind: str, change: Any) -> None:
    right = offer()
    head = policy_bench.check_head(right.head)
    text = change(right.head if kind == "head" else right.release)
    with refusal(policy_bench.vm, "ReleaseError", 20, first_wrong(text)):
        if kind == "head":
            policy_bench.check_head(text)
        else:
            policy_bench.check_release(text, head)


def first_wrong(text: bytes) -> int:
    """Where a second line should be and is not; if there is one, where the first ends too early."""
    place = max(len(text) - SECOND, 0)
    second = text[place:]
    if (second[:1], second[17:18], second[-1:]) == (b"\n", b" ", b"\n"):
        return text.index(b"\n")
    return place


@pytest.mark.parametrize("role", ["online", "offline"])
def test_a_signed_line_break_in_the_payload_is_refused(policy_bench: PolicyBench, role: str) -> None:
    """JSON allows it, but slotbench and servers read such a file as three lines."""
    line = payload(release_fields()).replace(b",", b",\n", 1)
    text = join(line, signing_key(role).key_id, sign(line, role))
    with refusal(policy_bench.vm, "ReleaseError", 20, line.index(b"\n")):
        policy_bench.read_payload(text, "head" if role == "online" else "release")


@pytest.mark.parametrize("encoded", [
    b"", b"A", b"A" * 508, b"A" * 511, b"A" * 513, b"A" * 516, b"A" * 509 + b"==="], ids=len)
def test_a_signature_that_is_not_512_characters_of_base64_is_refused(policy_bench: PolicyBench, encoded: bytes) -> None:
    text = offer().head
    with refusal(policy_bench.vm, "ReleaseError", 20):
        policy_bench.check_head(text[: text.index(b"\n") + 18] + encoded + b"\n")


@pytest.mark.parametrize(
    "line", [b"", b"{", b'{"kind":"head",', b"null", b"1", b'"head"', b"[]", b"\xff\xfe", b"{}"])
def test_a_signed_line_that_is_no_object_of_a_kind_is_refused(policy_bench: PolicyBench, line: bytes) -> None:
    made = signing_key("online").sign(line) if line.startswith(b"{") else None
    text = join(line, signing_key("online").key_id, made.signature if made else sign(line))
    with refusal(policy_bench.vm, "ReleaseError", 20, 0):
        policy_bench.check_head(text)


def sign(line: bytes, role: str = "online") -> bytes:
    """A signature over any bytes: the device must not rely on slotbench's checks."""
    return signing_key(role).sign(line).signature


# Keys and roles.


@pytest.mark.parametrize(("kind", "key"), [
    ("head", "offline"), ("head", "stranger"), ("release", "online"), ("release", "stranger")])
def test_a_key_has_one_role(policy_bench: PolicyBench, kind: str, key: str) -> None:
    line = payload(release_fields())
    documents = {
        "head": signed(head_fields(line), key if kind == "head" else "online"),
        "release": signed(line, key if kind == "release" else "offline"),
    }
    policy_bench.require_refusal(SignedOffer(documents["release"], documents["head"]), 21, 0)


def test_either_of_two_offline_keys_may_sign(policy_bench: PolicyBench) -> None:
    line = payload(release_fields())
    policy_bench.offline = [signing_key("stranger").modulus, signing_key("offline").modulus]
    head = signed(head_fields(line), "online")
    for key in ("stranger", "offline"):
        assert policy_bench.check_offer(SignedOffer(signed(line, key), head))


def test_another_keys_id_in_front_of_a_signature_is_refused(policy_bench: PolicyBench) -> None:
    line = payload(head_fields(payload(release_fields())))
    stolen = join(line, signing_key("online").key_id, signing_key("stranger").sign(line).signature)
    with refusal(policy_bench.vm, "ReleaseError", 22, 0):
        policy_bench.check_head(stolen)


def test_any_changed_character_of_the_payload_is_refused(policy_bench: PolicyBench) -> None:
    text = offer().head
    for place in range(0, text.index(b"\n"), 7):
        changed = bytearray(text)
        changed[place] ^= 1
        with refusal(policy_bench.vm, "ReleaseError", 22, 0):
            policy_bench.check_head(bytes(changed))


# Kind, format, fields.


def test_a_document_of_another_kind_is_refused_though_its_key_is_right(policy_bench: PolicyBench) -> None:
    line = payload(release_fields())
    head = head_fields(line)
    policy_bench.require_refusal(SignedOffer(b"", signed(line, "online")), 23, 0)
    policy_bench.require_refusal(SignedOffer(signed(head, "offline"), signed(head, "online")), 23, 0)
    policy_bench.require_refusal(offered_head({**head, "kind": "keys"}), 23, 0)


@pytest.mark.parametrize("number", [0, 2])
def test_a_format_that_is_not_known_is_refused(policy_bench: PolicyBench, number: int) -> None:
    policy_bench.require_refusal(offer(head={"format": number}), 24, number)
    policy_bench.require_refusal(offer({"format": number}), 24, number)


def test_fields_that_are_not_known_are_ignored(policy_bench: PolicyBench) -> None:
    assert policy_bench.check_offer(offer({"colour": "blue"}, {"colour": ["red"]}))


@pytest.mark.parametrize("name", HEAD_FIELDS)
def test_a_head_without_a_field_is_refused(policy_bench: PolicyBench, name: str) -> None:
    fields = without(head_fields(payload(release_fields())), name)

    policy_bench.require_refusal(offered_head(fields), 25 if name == "product" else 20, 0)


@pytest.mark.parametrize("name", RELEASE_FIELDS)
def test_a_release_without_a_field_is_refused(policy_bench: PolicyBench, name: str) -> None:
    policy_bench.require_refusal(offered_release(without(release_fields(), name)), 25 if name == "product" else 20, 0)


@pytest.mark.parametrize("name", IMAGE_FIELDS)
def test_an_image_without_a_field_is_refused(policy_bench: PolicyBench, name: str) -> None:
    image = without(release_fields()["images"]["any"], name)

    policy_bench.require_refusal(offered_release(release_fields(images={"any": image})), 20)


@pytest.mark.parametrize(("name", "value"), [
    *product(("counter", "seq", "issued", "expires", "percent"), (None, "6", [])),
    *product(("counter", "seq", "issued"), (6.5, -1, TOO_BIG)),
])
def test_a_number_of_a_head_that_is_none_is_refused(policy_bench: PolicyBench, name: str, value: object) -> None:
    """Whatever the online key signs must neither stop the application nor reach the journal."""
    policy_bench.facts["tag"] = 0  # no head was seen: nothing it could be compared with
    policy_bench.require_refusal(offer(head={name: value}), 20, 0)


@pytest.mark.parametrize(("name", "value"), [
    ("release", 5), ("release", None), ("release", "zz"), ("cohorts", None), ("cohorts", 5),
    ("cohorts", "early")])
def test_a_field_of_a_head_of_another_type_is_refused(policy_bench: PolicyBench, name: str, value: object) -> None:
    policy_bench.require_refusal(offer(head={name: value}), 20, 0)


@pytest.mark.parametrize("name", ["counter", "fs_version", "mpy_abi", "floor"])
@pytest.mark.parametrize("value", [None, "6", 6.5, -1, TOO_BIG], ids=repr)
def test_a_number_of_a_release_that_is_none_is_refused(policy_bench: PolicyBench, name: str, value: object) -> None:
    """Before the download, because these numbers go into the descriptor."""
    refused = policy_bench.vm.import_("twoslot.errors").ReleaseError
    with pytest.raises(refused) as caught:
        policy_bench.check_offer(offer({name: value}))
    assert caught.value.args[0] in (20, 33, 37), "not refused for this field"


@pytest.mark.parametrize(("name", "value"), [
    ("images", None), ("images", []), ("images", {"any": "x"}), ("boards", 5),
    ("boards", None), ("channels", 5), ("version", 2), ("version", None)])
def test_a_field_of_a_release_of_another_type_is_refused(policy_bench: PolicyBench, name: str, value: object) -> None:
    policy_bench.require_refusal(offer({name: value}), 20, 0)


@pytest.mark.parametrize(("name", "value"), [
    ("length", "x"), ("length", None), ("length", 4096.5), ("sha256", 5), ("sha256", "zz"), ("blocks", None),
    ("url", 5), ("url", None), ("blocks_url", 5), ("form", "1"), ("form", 3), ("form", 0)])
def test_a_field_of_an_image_of_another_type_is_refused(policy_bench: PolicyBench, name: str, value: object) -> None:
    image = {**release_fields()["images"]["any"], name: value}

    policy_bench.require_refusal(offer({"images": {"any": image}}), 20)


@pytest.mark.parametrize("version", ["a" + "\u00e9" * 8, "1.0\n", "\u2713"], ids=ascii)
def test_a_version_that_is_not_printable_ascii_is_refused(policy_bench: PolicyBench, version: str) -> None:
    """Cut at 16 bytes inside a character, its descriptor could never be read again."""
    policy_bench.require_refusal(offer({"version": version}), 20, 0)


def test_a_floor_above_the_releases_own_counter_is_refused(policy_bench: PolicyBench) -> None:
    """Confirmed, it would leave the board nothing that it may boot."""
    policy_bench.require_refusal(offer({"floor": 7}), 20, 0)
    assert policy_bench.check_offer(offer({"floor": 6}))["floor"] == 6
