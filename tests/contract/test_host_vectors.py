"""The bench's codec against the golden files, both ways: bytes to values and values to bytes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from slotbench.formats import FormatError, application_record, blocks, document, journal, maptable, windowlog
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.application_patch import apply_application_patch
from slotbench.formats.application_record import ApplicationRecord
from slotbench.formats.board_report import REPORT_BYTES_MAX, BoardReport
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.file_list import pack_list, parse_list
from slotbench.formats.head import Head, rollout_place
from slotbench.formats.identity import parse_authorization
from slotbench.formats.image import parse_e9
from slotbench.formats.image_ea import parse_ea
from slotbench.formats.journal import JournalCell
from slotbench.formats.keys import Keys, Role
from slotbench.formats.patch import apply_patch
from slotbench.formats.release import Release
from slotbench.formats.rtc import Tail

VECTORS = Path(__file__).parents[1] / "vectors"
KINDS = {"application": ApplicationDocument, "release": Release, "head": Head, "keys": Keys}
LINES = {"heads": Head, "releases": Release, "programs": ApplicationDocument}
FORMATS = Path(__file__).parents[2] / "device" / "FORMATS.md"
GONE = object()
ROLES = {"application": Role.OFFLINE, "release": Role.OFFLINE, "head": Role.ONLINE, "keys": Role.OFFLINE}


def names(folder: str) -> list[str]:
    found = sorted(path.stem for path in (VECTORS / folder).glob("*.json"))
    assert found, f"no golden files in {folder}"
    return found


def load(folder: str, name: str, suffix: str = "bin") -> tuple[bytes, Any]:
    path = VECTORS / folder / name
    return path.with_suffix(f".{suffix}").read_bytes(), json.loads(path.with_suffix(".json").read_text())


def plain(value: object) -> Any:
    """What a value looks like in a text twin."""
    return json.loads(json.dumps(value, default=lambda data: data.hex()))


@pytest.mark.parametrize("name", names("cells"))
def test_cell(name):
    page, twin = load("cells", name)

    cell = JournalCell.unpack(page)

    assert plain(asdict(cell)) == twin["cell"]
    assert (cell.pack() == page) is twin["repacks"]
    assert cell.pack()[:128] == page[:128]


@pytest.mark.parametrize("name", names("regions"))
def test_journal_region(name):
    region, twin = load("regions", name)

    newest = journal.newest_cell(region)
    place = journal.next_place(region)

    assert [str(state) for _, state, _ in journal.scan_pages(region)] == twin["pages"]
    assert (newest and {"index": newest[0], "sequence": newest[1].sequence}) == twin["newest"]
    assert (place and asdict(place)) == twin["next"]


@pytest.mark.parametrize("name", names("descriptors"))
def test_descriptor(name):
    page, twin = load("descriptors", name)

    descriptor = SlotDescriptor.unpack(page)

    assert plain(asdict(descriptor)) == {"twoslot": 0, **twin}
    assert descriptor.pack() == page


@pytest.mark.parametrize("name", names("windowlogs"))
def test_window_log(name):
    sector, twin = load("windowlogs", name)

    held = windowlog.held_digest(sector)

    assert (held and held.hex()) == twin["held"]
    assert windowlog.next_free_entry(sector) == twin["next_free"]
    assert windowlog.needs_erase(sector) == twin["needs_erase"]


@pytest.mark.parametrize("name", names("maps"))
def test_map_table(name):
    table, numbers = load("maps", name)

    if numbers is None:
        with pytest.raises(FormatError):
            maptable.unpack_table(table)
    else:
        assert maptable.unpack_table(table) == numbers
        assert maptable.pack_table(numbers) == table


@pytest.mark.parametrize("name", names("rtc"))
def test_rtc_tail(name):
    data, twin = load("rtc", name)

    if twin is None:
        with pytest.raises(FormatError):
            Tail.unpack(data)
    else:
        tail = Tail.unpack(data)
        assert plain(asdict(tail)) == twin
        assert tail.pack() == data


def test_image_and_block_table():
    image, twin = load("images", "firmware")
    table = (VECTORS / "images" / "firmware.blocks").read_bytes()

    parsed = parse_e9(image)

    assert [(s.address, len(s.data)) for s in parsed.segments] == [
        (segment["address"], segment["bytes"]) for segment in twin["segments"]]
    shared = {key: value for key, value in asdict(parsed).items() if key != "segments"}
    assert shared == {key: twin[key] for key in shared}
    assert hashlib.sha256(image).hexdigest() == twin["sha256"]
    assert blocks.block_table(image) == table == bytes.fromhex("".join(twin["blocks"]))
    assert blocks.table_digest(table).hex() == twin["blocks_sha256"]
    blocks.check_table(table, len(image))


@pytest.mark.parametrize("name", ["user1", "user2"])
def test_user_image_and_block_table(name):
    image, twin = load("native", name)
    table = (VECTORS / "native" / f"{name}.blocks").read_bytes()

    parsed = parse_ea(image)

    assert [{"address": s.address, "bytes": len(s.data)} for s in parsed.segments] == twin["segments"]
    shared = {key: value for key, value in asdict(parsed).items() if key != "segments"}
    assert shared == {key: twin[key] for key in shared}
    assert hashlib.sha256(image).hexdigest() == twin["sha256"]
    assert blocks.block_table(image) == table
    assert blocks.table_digest(table).hex() == twin["blocks_sha256"]


def test_release_with_an_image_for_each_slot():
    data, twin = load("native", "release", "release")
    images = {key: load("native", name)[1] for key, name in (("a", "user1"), ("b", "user2"))}

    signed = document.split_document(data)
    release = Release.from_payload(signed.payload)

    assert pinned().verifies(signed, Role.OFFLINE)
    assert (signed.digest, json.loads(signed.payload)) == (twin["digest"], twin["fields"])
    assert release.to_payload() == signed.payload
    assert {key: (ref.length, ref.sha256, ref.blocks) for key, ref in release.images.items()} == {
        key: (said["length"], said["sha256"], said["blocks_sha256"]) for key, said in images.items()}


@pytest.mark.parametrize(("name", "kind"), [*((kind, kind) for kind in KINDS), ("longest", "head"), ("both", "head"), ("app_alone", "head"), ("devices", "head")])
def test_signed_document(name, kind):
    data, twin = load("documents", name, kind)

    signed = document.split_document(data)

    assert signed.pack() == data
    assert signed.digest == twin["digest"]
    assert (signed.key_id, signed.signature.hex()) == (twin["key_id"], twin["signature"])
    assert json.loads(signed.payload) == twin["fields"]
    assert KINDS[kind].from_payload(signed.payload).to_payload() == signed.payload
    assert pinned().verifies(signed, ROLES[kind])


@pytest.mark.parametrize("name", names("heads"))
def test_heads_field_by_field(name):
    line, twin = load("heads", name, "line")

    if not twin["bench"]:
        with pytest.raises(FormatError):
            Head.from_payload(line)
        return
    head = Head.from_payload(line)
    assert head.to_payload() == line
    assert all(head.includes(device, cohort) is included for device, cohort, included in twin.get("includes", ()))


@pytest.mark.parametrize(("folder", "name"), [
    (folder, name) for folder in ("releases", "programs") for name in names(folder)])
def test_offers_field_by_field(folder, name):
    line, twin = load(folder, name, "line")
    kind = LINES[folder]

    if twin["bench"]:
        assert kind.from_payload(line).to_payload() == line
    else:
        with pytest.raises(FormatError):
            kind.from_payload(line)


@pytest.mark.parametrize("folder", LINES)
def test_every_field_is_told_right_and_wrong(folder):
    """Each field is in FORMATS, in the codec, in a golden file that is taken and in one that is refused."""
    own = {field.name for field in fields(LINES[folder])}
    right, wrong = set(), set()
    usual = json.loads(load(folder, "usual", "line")[0])
    for name in names(folder):
        line, twin = load(folder, name, "line")
        found = json.loads(line)
        if twin["bench"]:
            right |= found.keys()
        else:
            wrong |= {key for key in own if found.get(key, GONE) != usual.get(key, GONE)}

    assert right == own | {"kind", "format"}
    assert wrong >= own - {"preflight", "frozen_main"}, own - wrong


@pytest.mark.parametrize(("section", "kind"), [
    ("Head", Head), ("Release", Release), ("Application", ApplicationDocument), ("Keys", Keys),
    ("Board report", BoardReport)])
def test_formats_has_the_fields_of_the_codec(section, kind):
    text = FORMATS.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.partition("\n\n| ")[2].partition("\n\n")[0].splitlines()[2:]]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}

    assert named - {"kind", "format"} == {field.name for field in fields(kind)}


@pytest.mark.parametrize("name", names("tampered"))
def test_tampered_document_is_refused_for_what_is_wrong(name):
    data, twin = load("tampered", name)

    assert refusal(data, twin["offered_as"]) in twin["codes"]


@pytest.mark.parametrize("name", names("reports"))
def test_report(name):
    body, twin = load("reports", name, "body")

    if twin is None:
        with pytest.raises(FormatError):
            BoardReport.from_payload(body)
    else:
        report = BoardReport.from_payload(body)
        said = plain(asdict(report))
        assert said == {"board": "", "slot": None, "spare": None} | twin
        assert report.to_payload() == body and len(body) <= REPORT_BYTES_MAX


@pytest.mark.parametrize("name", names("identity"))
def test_identity(name):
    twin = json.loads((VECTORS / "identity" / f"{name}.json").read_text())
    body, secret = twin["body"].encode(), bytes.fromhex(twin["secret"])

    device_id, proof = parse_authorization(twin["header"])

    assert parse_authorization(twin["first_header"]) == (device_id, None)
    assert (device_id, proof.nonce, proof.nc) == (twin["id"], twin["nonce"], twin["nc"])
    assert plain([proof.report, proof.about, proof.running, proof.app]) == [*twin["report"], twin["running"], twin["app"]]
    assert proof.matches(secret, twin["method"], twin["host"], twin["path"], body)
    for other in ((twin["method"], twin["host"], twin["path"] + "x", body), ("PUT", twin["host"], twin["path"], body)):
        assert not proof.matches(secret, *other)
    if body:
        assert not proof.matches(secret, twin["method"], twin["host"], twin["path"], body + b" ")


def test_every_way_of_tampering_is_there():
    codes = {code for name in names("tampered") for code in load("tampered", name)[1]["codes"]}

    assert codes >= {20, 21, 22, 23, 24}


def test_rollout_and_channel_tags():
    twin = json.loads((VECTORS / "rollout.json").read_text())

    assert {name: rollout_place(twin["release"], name) for name in twin["places"]} == twin["places"]
    tags = {name: journal.channel_tag(*name.split("/")) for name in twin["channel_tags"]}
    assert tags == twin["channel_tags"]


def test_rollout_of_an_application():
    twin = json.loads((VECTORS / "rollout_app.json").read_text())

    places = {name: rollout_place(twin["release"], name, twin["app"]) for name in twin["places"]}
    assert places == twin["places"]
    assert places != {name: rollout_place(twin["release"], name) for name in twin["places"]}


@pytest.mark.parametrize("name", names("lists"))
def test_file_list(name):
    text, twin = load("lists", name, "list")

    if twin["wrong_line"]:
        with pytest.raises(FormatError) as caught:
            parse_list(text)
        assert (f"line {twin['wrong_line']}" in caught.value.where) is (twin["wrong_line"] > 0)
    else:
        entries = parse_list(text)
        assert plain([asdict(entry) for entry in entries]) == twin["files"]
        assert pack_list(reversed(entries)) == text


@pytest.mark.parametrize("name", names("applications"))
def test_application_record(name):
    data, twin = load("applications", name)

    if twin is None:
        with pytest.raises(FormatError):
            ApplicationRecord.unpack(data)
    else:
        record = ApplicationRecord.unpack(data)
        assert plain(asdict(record)) == twin
        assert record.pack() == data


def test_the_newest_application_record_counts():
    older, newer = (load("applications", name)[0] for name in ("first", "distinct"))
    torn = load("applications", "torn")[0]

    for contents in ((older, newer), (newer, older), (torn, newer), (newer, b"")):
        found = application_record.newest_record(contents)
        assert found is not None and found.pack() == newer
    assert application_record.newest_record((torn, b"")) is None


@pytest.mark.parametrize(("firmware", "mpy_abi", "fits"), [
    (6, 6, False), (7, 6, True), (9, 6, True), (10, 6, False), (8, 5, False), (8, 0, True), (0, 6, False),
    (0x80000001, 6, True), (0x80000001, 5, False),
])
def test_the_firmware_that_an_application_fits(firmware, mpy_abi, fits):
    payload = document.split_document(load("documents", "application", "application")[0]).payload

    assert ApplicationDocument.from_payload(payload).fits(firmware, mpy_abi) is fits


def pinned() -> Keys:
    return Keys.from_payload(document.split_document((VECTORS / "documents" / "keys.keys").read_bytes()).payload)


def refusal(data: bytes, kind: str) -> int | None:
    """The error code (FORMATS) that fits what the bench finds wrong, None when it finds nothing."""
    try:
        signed = document.split_document(data)
    except FormatError:
        return 20
    if not pinned().verifies(signed, ROLES[kind]):
        return 22 if pinned().role_of_signer(signed) is ROLES[kind] else 21
    try:
        KINDS[kind].from_payload(signed.payload)
    except FormatError as error:
        return {"kind": 23, "format": 24}.get(error.field, 20)
    return None


@pytest.mark.parametrize("name", names("patches"))
def test_patch(name: str) -> None:
    patch, twin = load("patches", name, "patch")
    old = (VECTORS / "patches" / "old.bin").read_bytes() if name != "whole" else b""

    if twin["sha256"] is None:
        with pytest.raises(FormatError):
            apply_patch(old, patch)
    else:
        assert hashlib.sha256(apply_patch(old, patch)).hexdigest() == twin["sha256"]


@pytest.mark.parametrize("name", names("application_patches"))
def test_application_patch(name: str) -> None:
    patch, twin = load("application_patches", name, "files")
    folder = VECTORS / "application_patches"
    old = {path.relative_to(folder / "old").as_posix(): path.read_bytes()
           for path in (folder / "old").rglob("*") if path.is_file() and name != "from_nothing"}
    new_list = (folder / "new.list").read_bytes()

    if twin is None:
        with pytest.raises(FormatError):
            apply_application_patch(old, new_list, patch)
    else:
        made = apply_application_patch(old, new_list, patch)
        assert {path: hashlib.sha256(data).hexdigest() for path, data in made.items()} == twin
