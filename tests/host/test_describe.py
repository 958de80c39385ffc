"""`release.describe`: what `slotbench release show` prints about a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.keys import Keys
from slotbench.release.describe import describe_file
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.samples import NOW, SEQ, KeyRing, make_firmware


def lines_of(path: Path, keys: Keys | None = None) -> dict[str, str]:
    return dict(describe_file(path, keys).lines)


def publish_with(site: Store, path: Path, ring: KeyRing, firmware: bytes, rollout: Rollout) -> None:
    publish_release(site, path, ring.document, [firmware], ring.load("online"), NOW, rollout=rollout)


def test_describe_an_image(tmp_path: Path, firmware_file: Path) -> None:
    said = describe_file(firmware_file)

    assert said.title == "an image of the bench, which no chip runs"
    assert said.lines == (("length", "101292 bytes"), ("details", f"slotbench inspect {firmware_file}"))
    assert said.fields["kind"] == "image" and said.fields["problem"] is None
    json.dumps(said.fields)


def test_describe_a_damaged_image(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(make_firmware(50_000)[:-1])

    assert lines_of(path)["refused"].startswith("altered, or bytes were appended: image has 49999 bytes")


def test_describe_a_release(make_release: MakeRelease, ring: KeyRing) -> None:
    path = make_release(notes="hello", floor=3, fs_upgrade=True)

    said = describe_file(path, ring.keys)

    lines = dict(said.lines)
    assert said.title == "release document"
    assert lines["version"] == "1.25.0, counter 7"
    assert lines["created"] == "2025-06-15 15:06:40 UTC"
    assert lines["filesystem"] == "from 0x100000, littlefs 2.1, upgrade intended"
    assert (lines["floor"], lines["notes"]) == ("3 once confirmed", "hello")
    assert lines["signature"].startswith("valid, by the offline key (")
    assert said.fields["signature"] == "valid" and said.fields["counter"] == 7


def test_describe_an_unchecked_or_missing_signature(make_release: MakeRelease, tmp_path: Path) -> None:
    path = make_release()
    assert lines_of(path)["signature"].startswith("not checked; give --keys")
    assert describe_file(path).fields["signature"] == "not checked"

    path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n")
    assert lines_of(path)["signature"] == "none yet"
    assert describe_file(path).fields["signature"] is None
    assert (lines_of(path)["floor"], lines_of(path)["notes"]) == ("none", "none")


def test_describe_a_head(site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes) -> None:
    publish_with(site, make_release(), ring, firmware, rollout=Rollout(percent=5, cohorts=("lab",)))
    path = site.path("heads/sensor/stable.head")

    assert lines_of(path)["rollout"] == "5 % of the boards and cohorts lab"
    publish_with(site, make_release(), ring, firmware, rollout=Rollout(paused=True))
    assert lines_of(path)["rollout"] == "no board while paused (100 % of the boards when resumed)"
    assert lines_of(path, ring.keys)["signature"].startswith("valid, by the online key")
    assert lines_of(path)["seq"] == f"{SEQ + 1} of key epoch 1"


def test_describe_a_keys_document(ring: KeyRing) -> None:
    said = describe_file(ring.document)

    assert ("online key", ring.load("online").key_id) in said.lines
    assert ("offline key", ring.load("offline").key_id) in said.lines


def test_a_wrong_signature_is_refused(make_release: MakeRelease, ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="signed by the online key"):
        describe_file(make_release(key="online"), ring.keys)


@pytest.mark.parametrize(("data", "what"), [
    (b"", "an empty file, neither an ESP8266 image nor a document"),
    (b"PK", "neither an ESP8266 image nor a document of twoslot: .*x, offset 0x0"),
    (b'{"kind":"song","format":1}\n', "song is not a kind of twoslot document: .*x, field kind"),
    (b'{"kind":"head","format":1}\n', "missing: .*x, field product"),
    (b"{}", "line 1 does not end"),
])
def test_any_other_file_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)

    with pytest.raises(FormatError, match=what):
        describe_file(path)
