"""Documents, field by field (`formats.document`, `fields`, `release`, `head`, `keys`).

A mistake is refused when a document is written and when it is read.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from slotbench.formats import FormatError, document
from slotbench.formats.fields import Fields, kind_of
from slotbench.formats.head import Head, rollout_place
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import ImageRef, Release
from slotbench.release.keys import SigningKey
from support.samples import NOW, VECTOR_KEYS

HEX = "ab" * 32
IMAGE = ImageRef(
    url=f"images/{HEX}.bin", length=640_000, sha256=HEX, blocks=HEX, blocks_url=f"blocks/{HEX}.blocks")
RELEASE = Release(
    product="sensor", boards=("d1_mini",), channels=("stable", "beta"), version="1.2", counter=7, created=NOW,
    images={"any": IMAGE}, fs_start=0x100000, fs_version=0x20001, fs_upgrade=False, mpy_abi=6, floor=7,
    notes="",
)
HEAD = Head(
    product="sensor", channel="stable", epoch=1, seq=3, release=HEX, counter=7, issued=NOW, expires=NOW + 1,
    percent=50, cohorts=("lab",),
)
PAYLOAD = RELEASE.to_payload()


@pytest.fixture(scope="module")
def offline() -> SigningKey:
    return SigningKey.load(VECTOR_KEYS / "test-only-offline.pem")


@pytest.fixture(scope="module")
def online() -> SigningKey:
    return SigningKey.load(VECTOR_KEYS / "test-only-online.pem")


@pytest.fixture(scope="module")
def keys(offline: SigningKey, online: SigningKey) -> Keys:
    return Keys(
        product="sensor", epoch=1, issued=NOW, offline=(offline.modulus,), online=online.modulus)


def edited(payload: bytes, **fields: object) -> bytes:
    """The payload with fields set, and those that are None taken out."""
    merged = json.loads(payload) | fields
    return json.dumps({key: value for key, value in merged.items() if value is not None}).encode()


def test_a_document_is_two_lines(offline: SigningKey) -> None:
    signed = offline.sign(PAYLOAD)

    first, second, rest = signed.pack().split(b"\n")
    assert (first, rest) == (PAYLOAD, b"")
    assert second == signed.key_id.encode() + b" " + base64.b64encode(signed.signature)
    assert document.split_document(signed.pack()) == signed
    assert signed.digest == hashlib.sha256(PAYLOAD).hexdigest()
    assert signed.key_id == hashlib.sha256(offline.modulus).hexdigest()[:16]


def test_cryptography_verifies_the_signature(offline: SigningKey, online: SigningKey) -> None:
    signed = offline.sign(PAYLOAD)
    verify = offline.private.public_key().verify

    verify(signed.signature, PAYLOAD, padding.PKCS1v15(), hashes.SHA256())
    assert document.verify_signature(signed, offline.modulus)
    with pytest.raises(InvalidSignature):
        verify(signed.signature, PAYLOAD + b" ", padding.PKCS1v15(), hashes.SHA256())
    assert not document.verify_signature(replace(signed, payload=PAYLOAD + b" "), offline.modulus)
    assert not document.verify_signature(signed, online.modulus)
    assert not document.verify_signature(replace(signed, key_id=online.key_id), offline.modulus)
    assert not document.verify_signature(replace(signed, signature=signed.signature[1:]), offline.modulus)
    assert not document.verify_signature(replace(signed, signature=b"\xff" * 384), offline.modulus)


def test_an_unsigned_document_is_one_line(offline: SigningKey) -> None:
    signed = offline.sign(PAYLOAD).pack()

    assert document.read_payload(PAYLOAD + b"\n") == document.read_payload(signed) == PAYLOAD
    assert document.is_signed(signed)
    assert not document.is_signed(PAYLOAD + b"\n")


@pytest.mark.parametrize(("change", "what"), [
    (lambda text: b"", "line 1 does not end"),
    (lambda text: PAYLOAD, "line 1 does not end"),
    (lambda text: b"[]\n", "not a JSON object"),
    (lambda text: b"{\xc3\xa9}\n", "byte 0xc3 is not printable ASCII: offset 0x1"),
    (lambda text: text.replace(b"\n", b"\r\n"), "byte 0x0d is not printable ASCII"),
    (lambda text: PAYLOAD + b"\n", "not signed"),
    (lambda text: PAYLOAD + b"\n\n", "line 2 is empty"),
    (lambda text: text[:-1], "line 2 does not end"),
    (lambda text: text + b"{}\n", "there are bytes after the signature"),
    (lambda text: PAYLOAD + b"\nabc\n", "no key id"),
    (lambda text: PAYLOAD + b"\n" + b"A" * 16 + b" \n", "no key id"),
    (lambda text: PAYLOAD + b"\n" + b"a" * 17 + b" \n", "no key id"),
    (lambda text: PAYLOAD + b"\n" + b"a" * 16 + b" YQ==\n", "4 characters, not 512"),
    (lambda text: PAYLOAD + b"\n" + b"a" * 16 + b" " + b"!" * 512 + b"\n", "not standard base64"),
    (lambda text: PAYLOAD + b"\n" + b"a" * 16 + b" " + b"A" * 510 + b"==\n", "382 bytes, not 384"),
    (lambda text: b"{" + b" " * 4096 + b"}\n", "4099 bytes, at most 4096"),
])
def test_split_names_the_mistake(offline: SigningKey, change: Callable[[bytes], bytes], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        document.split_document(change(offline.sign(PAYLOAD).pack()))


def test_join_refuses_what_split_would() -> None:
    with pytest.raises(FormatError, match="not printable"):
        document.join_document(b"{\x01}", "a" * 16, bytes(384))
    with pytest.raises(FormatError, match="no key id"):
        document.join_document(PAYLOAD, "short", bytes(384))


def test_the_longest_payload_just_fits() -> None:
    longest = b"{" + b" " * (document.PAYLOAD_BYTES_MAX - 2) + b"}"

    assert len(document.join_document(longest, "a" * 16, bytes(384))) == 4096
    with pytest.raises(FormatError, match="4097 bytes"):
        document.join_document(longest + b" ", "a" * 16, bytes(384))


@pytest.mark.parametrize(("payload", "what"), [
    (b"\xff", "not ASCII: offset 0x0"),
    (b'{"kind":', "not JSON .*: offset 0x8"),
    (b"[1]", "not a JSON object"),
    (b'{"kind":"t","kind":"t"}', "given twice: field kind"),
    (b'{"kind":1.5}', "1.5 is not an integer"),
    (b'{"kind":NaN}', "NaN is not an integer"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"kind":' + b"9" * 5000 + b"}", "a number is too long"),
    (b'{"kind":1}', "1 is not a string: field kind"),
    (b'{"format":1}', "missing: field kind"),
    (b'{"kind":"other","format":1}', "document kind is other, not test: field kind"),
    (b'{"kind":"test","format":2}', "format 2 is not known, only 1: field format"),
])
def test_fields_parse_names_the_mistake(payload: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        Fields.parse(payload, "test")


@pytest.mark.parametrize(("read", "value", "what"), [
    (lambda f: f.name("x"), "Big", "'Big' is not a name: field x; use 1-32 characters"),
    (lambda f: f.name("x"), "a" * 33, "is not a name"),
    (lambda f: f.name("x"), 7, "7 is not a name"),
    (lambda f: f.names("x"), "abc", "'abc' is not a list"),
    (lambda f: f.names("x"), [], "list is empty"),
    (lambda f: f.names("x"), ["a", "a"], "listed twice"),
    (lambda f: f.names("x"), ["a", "B"], "'B' is not a name"),
    (lambda f: f.integer("x"), True, "True is not an integer"),
    (lambda f: f.integer("x"), "1", "'1' is not an integer"),
    (lambda f: f.integer("x"), -1, "-1 is not from 0 to 2147483647"),
    (lambda f: f.integer("x"), 1 << 31, "2147483648 is not from 0"),
    (lambda f: f.boolean("x"), 1, "1 is not true or false"),
    (lambda f: f.text("x", 1, 3), "", "0 characters, not 1-3"),
    (lambda f: f.text("x", 1, 3), "abcd", "4 characters, not 1-3"),
    (lambda f: f.text("x", 1, 3), "\u00e9", "not printable ASCII"),
    (lambda f: f.text("x", 1, 3, ascii_only=False), "\n", "is not printable: field x"),
    (lambda f: f.text("x", 1, 3), None, "None is not a string"),
    (lambda f: f.choice("x", ("dio", "qio")), "DIO", "'DIO' is not one of dio, qio"),
    (lambda f: f.choice("x", (1, 2)), True, "True is not one of 1, 2"),
    (lambda f: f.hex_digest("x"), "AB" * 32, "not 64 lower case hex digits"),
    (lambda f: f.hex_digest("x"), 1, "not 64 lower case hex digits"),
    (lambda f: f.object("x"), [], r"\[\] is not an object"),
    (lambda f: f.pop_field("y"), 1, "field is missing: field y"),
    (lambda f: f.require_empty(), 1, "field is not known: field x"),
    (lambda f: f.object("x").integer("y"), {"y": -1}, "field x.y"),
])
def test_reading_one_field_names_the_mistake(
    read: Callable[[Fields], object], value: object, what: str,
) -> None:
    with pytest.raises(FormatError, match=what):
        read(Fields({"x": value}))


def test_a_misspelled_field_gets_a_suggestion() -> None:
    with pytest.raises(FormatError, match="missing: field channel; rename chanel to channel"):
        Fields({"chanel": "stable"}).pop_field("channel")
    fields = Fields({"channel": "stable", "chanel": "beta"})
    fields.pop_field("channel")
    with pytest.raises(FormatError, match="not known: field chanel; rename it to channel"):
        fields.require_empty()


@pytest.mark.parametrize("value", ["QQ", "!!!!", "QUI=", 5, "\u00e9\u00e9\u00e9\u00e9"])
def test_base64_of_another_size_is_refused(value: object) -> None:
    with pytest.raises(FormatError, match="not base64 of 3 bytes: field x"):
        Fields({}).base64_bytes(value, "x", 3)


def test_the_kind_of_a_payload() -> None:
    assert kind_of(PAYLOAD) == "release"
    with pytest.raises(FormatError, match="missing: field kind"):
        kind_of(b"{}")


def test_release_round_trip_and_order_of_fields() -> None:
    assert Release.from_payload(PAYLOAD) == RELEASE
    assert list(json.loads(PAYLOAD)) == [
        "kind", "format", "product", "boards", "channels", "version", "counter", "created", "images",
        "fs_start", "fs_version", "fs_upgrade", "mpy_abi", "floor", "notes",
    ]
    assert b" " not in PAYLOAD


def test_a_release_with_an_image_for_each_slot() -> None:
    both = replace(RELEASE, images={"a": IMAGE, "b": replace(IMAGE, sha256="cd" * 32)})

    assert Release.from_payload(both.to_payload()) == both


@pytest.mark.parametrize(("change", "what"), [
    ({"product": "Sensor"}, "field product"),
    ({"boards": ()}, "list is empty: field boards"),
    ({"channels": ("a", "a")}, "field channels"),
    ({"version": ""}, "0 characters, not 1-16: field version"),
    ({"version": "v" * 17}, "field version"),
    ({"counter": 0}, "0 is not from 1 .*: field counter"),
    ({"floor": 8}, "8 is above the counter 7: field floor"),
    ({"mpy_abi": 256}, "field mpy_abi"),
    ({"fs_start": -1}, "field fs_start"),
    ({"notes": "n" * 201}, "field notes"),
    ({"notes": "two\nlines"}, "field notes"),
    ({"images": {}}, "field images"),
    ({"images": {"a": IMAGE}}, r"keys are \['a'\]"),
    ({"images": {"any": replace(IMAGE, length=0)}}, "field images.any.length"),
    ({"images": {"any": replace(IMAGE, length=251 * 4096 + 1)}}, "field images.any.length"),
    ({"images": {"any": replace(IMAGE, sha256="ab")}}, "field images.any.sha256"),
    ({"images": {"any": replace(IMAGE, encodings=("deflate",))}}, '"raw" is missing'),
    ({"images": {"any": replace(IMAGE, form=3)}}, "field images.any.form"),
    ({"images": {"any": replace(IMAGE, url="https://x/y")}}, "neither http:// nor relative"),
    ({"images": {"any": replace(IMAGE, url="/images/x")}}, "neither http:// nor relative"),
    ({"images": {"any": replace(IMAGE, url="a b")}}, "neither http:// nor relative"),
])
def test_a_release_against_the_format_is_not_written(change: dict[str, Any], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        replace(RELEASE, **change).to_payload()


@pytest.mark.parametrize("url", ["http://cdn.example/x.bin", "images/x.bin", "x"])
def test_release_urls_may_be_absolute_or_relative(url: str) -> None:
    made = replace(RELEASE, images={"any": replace(IMAGE, blocks_url=url)})

    assert Release.from_payload(made.to_payload()).images["any"].blocks_url == url


@pytest.mark.parametrize(("fields", "what"), [
    ({"extra": 1}, "not known: field extra"),
    ({"notes": None}, "missing: field notes"),
    ({"kind": "head"}, "document kind is head, not release"),
    ({"images": {"any": {"url": "x"}}}, "missing: field images.any.length"),
    ({"images": {"any": json.loads(PAYLOAD)["images"]["any"] | {"size": 1}}}, "field images.any.size"),
])
def test_a_release_against_the_format_is_not_read(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        Release.from_payload(edited(PAYLOAD, **fields))


def test_head_round_trip() -> None:
    assert Head.from_payload(HEAD.to_payload()) == HEAD


@pytest.mark.parametrize(("change", "what"), [
    ({"epoch": 0}, "field epoch"), ({"seq": 0}, "field seq"), ({"percent": 101}, "field percent"),
    ({"release": "x"}, "field release"), ({"expires": NOW}, "is not after issued"),
    ({"cohorts": ("x", "x")}, "field cohorts"), ({"devices": ("x", "x")}, "listed twice: field devices"),
    ({"devices": ('"',)}, "not a device id: field devices; use 1-64 printable"),
    ({"devices": tuple(map(str, range(17)))}, "17 devices are listed, at most 16"),
])
def test_a_head_against_the_format_is_not_written(change: dict[str, Any], what: str) -> None:
    with pytest.raises(FormatError, match=what):
        replace(HEAD, **change).to_payload()


def test_a_head_that_boards_have_no_memory_for_is_not_written() -> None:
    names = tuple(f"greenhouse-{number:02d}" for number in range(48))

    with pytest.raises(FormatError, match=r"head has 15\d\d bytes with its signature, at most 1536.*fewer cohorts"):
        replace(HEAD, cohorts=names).to_payload()
    assert replace(HEAD, cohorts=names[1:]).to_payload()


def test_a_head_with_an_unknown_field_is_not_read() -> None:
    with pytest.raises(FormatError, match="not known: field percen; rename it to percent"):
        Head.from_payload(edited(HEAD.to_payload(), percen=1))


def test_rollout_place() -> None:
    digest = hashlib.sha256(bytes.fromhex(HEX) + b"esp-1").digest()

    assert rollout_place(HEX, "esp-1") == (digest[0] * 256 + digest[1]) * 100 >> 16


def test_raising_the_percentage_never_removes_a_board() -> None:
    ids = [f"board-{i}" for i in range(1000)]
    half = [i for i in ids if replace(HEAD, percent=50, cohorts=()).includes(i)]
    most = [i for i in ids if replace(HEAD, percent=90, cohorts=()).includes(i)]

    assert 450 < len(half) < 550
    assert set(half) < set(most)
    assert all(replace(HEAD, percent=100).includes(i) for i in ids)
    assert not any(replace(HEAD, percent=0).includes(i) for i in ids)


def test_a_cohort_is_included_at_any_percentage() -> None:
    nobody = replace(HEAD, percent=0)

    assert nobody.includes("esp-1", "lab")
    assert not nobody.includes("esp-1", "field")
    assert not nobody.includes("esp-1", None)


def test_a_listed_device_is_included_at_any_percentage() -> None:
    listed = replace(HEAD, percent=0, cohorts=(), devices=("esp-1", "esp-2"))

    assert Head.from_payload(listed.to_payload()) == listed
    assert listed.includes("esp-2") and not listed.includes("esp-3")
    assert listed.audience() == "0 % of the boards and devices esp-1, esp-2"
    assert "devices" not in json.loads(HEAD.to_payload())


def test_keys_round_trip(keys: Keys) -> None:
    assert Keys.from_payload(keys.to_payload()) == keys


def test_a_key_has_one_role(keys: Keys, offline: SigningKey, online: SigningKey) -> None:
    assert keys.role(offline.modulus) is Role.OFFLINE
    assert keys.role(online.modulus) is Role.ONLINE
    assert keys.role(bytes(384)) is None
    by_offline, by_online = offline.sign(PAYLOAD), online.sign(PAYLOAD)
    assert keys.verifies(by_offline, Role.OFFLINE) and keys.verifies(by_online, Role.ONLINE)
    assert not keys.verifies(by_offline, Role.ONLINE) and not keys.verifies(by_online, Role.OFFLINE)
    assert keys.role_of_signer(by_online) is Role.ONLINE
    assert keys.role_of_signer(replace(by_online, key_id="0" * 16)) is None


def test_either_of_two_offline_keys_signs(keys: Keys, offline: SigningKey, online: SigningKey) -> None:
    spare = SigningKey.load(VECTOR_KEYS / "test-only-stranger.pem")
    two = replace(keys, offline=(offline.modulus, spare.modulus))

    assert Keys.from_payload(two.to_payload()) == two
    assert two.verifies(spare.sign(PAYLOAD), Role.OFFLINE)


@pytest.mark.parametrize(("change", "what"), [
    (lambda n, m: {"offline": ()}, "0 keys, not 1-2"),
    (lambda n, m: {"offline": (n, n)}, "a key is given twice"),
    (lambda n, m: {"offline": (m,)}, "each key has one role"),
    (lambda n, m: {"offline": (n, n, n)}, "3 keys, not 1-2"),
    (lambda n, m: {"offline": (n[1:],)}, "not base64 of 384 bytes: field offline"),
    (lambda n, m: {"online": b"\x00" + n[1:]}, "not that of an RSA-3072 key: field online"),
    (lambda n, m: {"online": n[:-1] + b"\x02"}, "not that of an RSA-3072 key: field online"),
    (lambda n, m: {"epoch": 0}, "field epoch"),
])
def test_keys_against_the_format_are_not_written(
    keys: Keys, change: Callable[[bytes, bytes], dict[str, Any]], what: str,
) -> None:
    with pytest.raises(FormatError, match=what):
        replace(keys, **change(keys.offline[0], keys.online)).to_payload()


def test_a_keys_document_with_the_most_keys_fits(keys: Keys, offline: SigningKey) -> None:
    spare = SigningKey.load(VECTOR_KEYS / "test-only-stranger.pem")
    two = replace(keys, product="p" * 32, offline=(offline.modulus, spare.modulus))

    assert len(offline.sign(two.to_payload()).pack()) <= document.DOCUMENT_BYTES_MAX


def test_within_adds_the_file_to_an_error() -> None:
    assert str(FormatError("x is wrong", 16).within("a.bin")) == "x is wrong: a.bin, offset 0x10"
    assert str(FormatError("x is wrong").within("a.bin")) == "x is wrong: a.bin"
    assert str(FormatError("x", 1, field="f", cure="mend it")) == "x: field f, offset 0x1; mend it"
