"""release.describe: what `slotbench release show` says."""

from __future__ import annotations

import json

import pytest

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.release.describe import describe
from slotbench.release.publish import Rollout, publish
from support.samples import NOW, make_firmware


class TestDescribe:
    def lines(self, path, keys=None):
        return dict(describe(path, keys).lines)

    def put(self, target, path, ring, firmware, rollout):
        publish(target, path, ring.document, [firmware], ring.load("online"), NOW, rollout=rollout)

    def test_an_image(self, tmp_path, firmware_file):
        said = describe(firmware_file)

        lines = dict(said.lines)
        assert said.title == "ESP8266 firmware image"
        assert lines["length"] == "641964 bytes"
        assert lines["RAM segments"].startswith("0x40100000 (28672 bytes), 0x3ffe8000 (1004 bytes)")
        assert (lines["length word"], lines["MD5 trailer"]) == ("641948", "right")
        assert lines["filesystem start"].startswith("0x100000 (inferred")
        assert said.fields["segments"][0] == {"address": 0x40100000, "bytes": 0x7000}
        json.dumps(said.fields)

    def test_an_image_that_tells_little(self, tmp_path):
        path = tmp_path / "x.bin"
        data = bytearray(make_firmware(50_000, literals=(), banner=""))
        data[0x8FFC:0x9000] = b"\xff" * 4
        path.write_bytes(data)

        lines = self.lines(path)

        assert (lines["length word"], lines["MD5 trailer"]) == ("none", "none")
        assert lines["MicroPython"] == "no version found"
        assert "give --fs-start" in lines["filesystem start"]

    def test_a_release(self, make, ring):
        path = make(notes="hello", floor=3, fs_upgrade=True)

        said = describe(path, ring.keys)

        lines = dict(said.lines)
        assert said.title == "release document"
        assert lines["version"] == "1.25.0, counter 7"
        assert lines["created"] == "2025-06-15 15:06:40 UTC"
        assert lines["filesystem"] == "from 0x100000, littlefs 2.1, upgrade meant"
        assert (lines["floor"], lines["notes"]) == ("3 once confirmed", "hello")
        assert lines["signature"].startswith("right, by the offline key (")
        assert said.fields["signature"] == "right" and said.fields["counter"] == 7

    def test_not_signed_and_not_checked(self, make, tmp_path):
        path = make()
        assert self.lines(path)["signature"].startswith("there, not checked: give --keys")
        assert describe(path).fields["signature"] == "not checked"

        path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n")
        assert self.lines(path)["signature"] == "none yet"
        assert describe(path).fields["signature"] is None
        assert (self.lines(path)["floor"], self.lines(path)["notes"]) == ("none", "none")

    def test_a_head(self, target, make, ring, firmware):
        self.put(target, make(), ring, firmware, rollout=Rollout(percent=5, cohorts=("lab",)))
        path = target.path("heads/sensor/stable.head")

        assert self.lines(path)["rollout"] == "5 % of the boards and cohorts lab"
        self.put(target, make(), ring, firmware, rollout=Rollout(paused=True))
        assert self.lines(path)["rollout"] == "nobody while paused (100 % of the boards when resumed)"
        assert self.lines(path, ring.keys)["signature"].startswith("right, by the online key")
        assert self.lines(path)["seq"] == "2 of key epoch 1"

    def test_keys(self, ring):
        said = describe(ring.document)

        assert ("online key", ring.load("online").key_id) in said.lines
        assert ("offline key", ring.load("offline").key_id) in said.lines

    def test_a_wrong_signature(self, make, ring):
        with pytest.raises(BenchError, match="signed by the online key"):
            describe(make(key="online"), ring.keys)

    @pytest.mark.parametrize(("data", "what"), [
        (b"", "neither an ESP8266 image nor a document"),
        (b"PK", "neither an ESP8266 image nor a document of twoslot: .*x, offset 0x0"),
        (b"\xe9\x01", "2 bytes are too few"),
        (b'{"kind":"song","format":1}\n', "a song is no document of twoslot: .*x, field kind"),
        (b'{"kind":"head","format":1}\n', "missing: .*x, field product"),
        (b"{}", "line 1 does not end"),
    ])
    def test_anything_else(self, tmp_path, data, what):
        path = tmp_path / "x"
        path.write_bytes(data)

        with pytest.raises(FormatError, match=what):
            describe(path)
