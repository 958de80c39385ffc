"""What people get wrong: each gets one line, the right exit code, and leaves everything as it was."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import data_path
from slotbench.release.publish import publish
from support.samples import NOW, KeyRing, make_firmware, write_ring

GENERIC = data_path("boards", "generic_4m.toml").read_text(encoding="utf-8")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: content of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(slotbench, tmp_path: Path) -> Callable[..., str]:
    """Run a command line that must be refused with this exit code and change nothing; its line."""

    def refused(code: int, *arguments: object) -> str:
        before = snapshot(tmp_path)
        ran = slotbench(*arguments)
        assert ran.code == code, ran.err
        assert ran.out == ""
        assert ran.err.startswith("slotbench: ") and ran.err.count("\n") == 1
        assert snapshot(tmp_path) == before
        return ran.err.removeprefix("slotbench: ").rstrip("\n")

    return refused


class TestBuild:
    @pytest.fixture
    def build(self, refused, tmp_path):
        def build(code: int, data: bytes | None, *options: object, board: object = "generic_4m") -> str:
            path = tmp_path / "firmware.bin"
            if data is not None:
                path.write_bytes(data)
            return refused(
                code, "release", "build", path, "--product", "sensor", "--board", board, "--counter", "7",
                "-o", tmp_path / "out.release", *options)

        return build

    def test_no_such_file(self, build, tmp_path):
        assert build(2, None) == (
            f"cannot read (No such file or directory): {tmp_path / 'firmware.bin'}; check the path")

    def test_a_folder(self, refused, tmp_path):
        line = refused(
            2, "release", "build", tmp_path, "--product", "s", "--board", "d1_mini", "--counter", "7")
        assert line == f"cannot read (Is a directory): {tmp_path}; check the path"

    @pytest.mark.parametrize(("spoil", "what", "offset"), [
        (lambda data: b"#!/bin/sh\n" + bytes(60_000), "not an ESP8266 image: byte 0 is 0x23, not 0xe9", 0),
        (lambda data: b"", "0 bytes are too few for an ESP8266 image", 0),
        (lambda data: data[:300_000],
         "truncated: image has 300000 bytes, its length word says 641948", 0x8FFC),
        (lambda data: data[:20_000], "truncated inside segment 0", 20_000),
        (lambda data: data + b"\n",
         "altered, or something is appended: image has 641965 bytes, its length word says 641948", 0x8FFC),
        (lambda data: data[:500_000] + b"\0" + data[500_001:],
         "altered: MD5 at the end does not match", 641_948),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
         "altered: checksum is ", 0x740F),
        (lambda data: data[:9] + b"\0\0\0" + data[12:],
         "segment 0 (28672 bytes for 0x00000000) is not inside", 8),
    ])
    def test_a_file_that_is_no_whole_image(self, build, tmp_path, firmware, spoil, what, offset):
        line = build(1, spoil(firmware))

        assert line.startswith(what)
        assert line.split("; ")[0].endswith(f": {tmp_path / 'firmware.bin'}, offset 0x{offset:x}")

    def test_an_image_too_large_for_the_slot(self, build):
        assert build(1, make_firmware(0xFB000 + 4)) == (
            "image has 1028100 bytes, a slot of generic_4m takes 1028096; use a smaller build")

    def test_an_image_too_large_for_one_of_the_boards(self, build, tmp_path, firmware):
        small = tmp_path / "small.toml"
        small.write_text(GENERIC.replace("0xFB000 }\nsource = \"device", "0x90000 }\nsource = \"device"))

        assert build(1, firmware, "--board", small) == (
            "image has 641964 bytes, a slot of small takes 589824; use a smaller build")

    def test_an_image_with_another_filesystem_start(self, build):
        data = make_firmware(603_232, literals=(0x98000,))

        assert build(1, data) == (
            "filesystem of the image starts at 0x99000, of generic_4m at 0x100000; "
            "use the build for that flash layout: its boot code would not find the files")
        assert build(1, data, "--fs-start", "0x100000") == (
            "filesystem start 0x100000 is not the image's (0x99000); leave out --fs-start")

    def test_a_filesystem_start_told_that_is_not_the_boards(self, build):
        assert build(1, make_firmware(literals=(0xD4000,)), "--fs-start", "0xD5000").startswith(
            "filesystem of the image starts at 0xd5000, of generic_4m at 0x100000; ")

    def test_what_the_image_does_not_tell(self, build):
        assert build(2, make_firmware(literals=())) == (
            "the image does not tell where its filesystem starts; give --fs-start: "
            "0x100000 for MicroPython's default build, 0x99000 for FLASH_1M")
        assert build(2, make_firmware(banner="")) == "the image does not tell its version; give --version"

    def test_fields_out_of_range(self, build, firmware):
        assert build(1, firmware, "--floor", "8") == "8 is above the counter 7: field floor"
        assert build(1, firmware, "--version", "v" * 17) == "17 characters, not 1-16: field version"

    def test_a_board_that_nobody_knows(self, build, firmware):
        assert build(2, firmware, board="d1mini") == (
            "no such board: d1mini; use one of d1_mini, d1_mini_dev, generic_4m, native_1m, native_512k, nodemcu, "
            "or the path of a .toml file")

    @pytest.mark.parametrize(("old", "new", "what", "key"), [
        ("start_offset = 0x003000", "start_offset = 0x002000",
         "0x002000-0x002fff overlaps regions.journal 0x001000-0x002fff", "regions.window_log"),
        ("[loader_header]", "[loader_heder]", "field is missing", "loader_header"),
        ("flash_mode", "flash_mod", "field is missing", "loader_header.flash_mode"),
        ("[chip]", "[chip]\nsizebytes = 5", "field is not known", "chip.sizebytes"),
    ])
    def test_a_board_file_with_an_overlap_or_a_typo(self, build, tmp_path, firmware, old, new, what, key):
        path = tmp_path / "mine.toml"
        path.write_text(GENERIC.replace(old, new))

        line = build(2, firmware, board=path)

        assert line.startswith(f"{what}: {path}, field {key}; ")

    def test_a_folder_that_cannot_be_written(self, refused, tmp_path, firmware_file):
        """A file in the way stops root too."""
        out = firmware_file / "below" / "out.release"

        assert refused(
            2, "release", "build", firmware_file, "--product", "sensor", "--board", "d1_mini",
            "--counter", "7", "-o", out,
        ) == f"cannot write (Not a directory): {out}; choose a folder that can be written"


class TestKeys:
    def test_keys_that_are_there(self, refused, ring):
        folder = ring.offline.parent

        assert refused(2, "keys", "new", folder, "--product", "sensor") == (
            f"file exists and is not overwritten: {folder / 'offline.pem'}; choose another folder")

    def test_a_folder_that_cannot_be_written(self, refused, tmp_path):
        (tmp_path / "file").write_bytes(b"")

        assert refused(2, "keys", "new", tmp_path / "file", "--product", "sensor") == (
            f"cannot write (File exists): {tmp_path / 'file' / 'offline.pem'}; "
            "choose a folder that can be written")


class TestSign:
    @pytest.fixture
    def sign(self, refused, make):
        def sign(code: int, path: Path, *options: object) -> str:
            return refused(code, "release", "sign", path, *options)

        return sign

    def test_the_wrong_key(self, sign, make, ring):
        path = make()
        line = sign(1, path, "--key", ring.online, "--keys", ring.document)
        assert line == (
            f"key {ring.load('online').key_id} is an online key: {ring.online}; use an offline key")
        line = sign(1, path, "--key", ring.stranger, "--keys", ring.document)
        assert line.startswith(f"key {ring.load('stranger').key_id} is not one of sensor's keys: ")

    def test_not_a_key(self, sign, make, ring, tmp_path):
        path = make()
        (tmp_path / "text").write_text("hello")
        assert sign(2, path, "--key", tmp_path / "text") == (
            f"not a private key: {tmp_path / 'text'}; make one with `slotbench keys new`")
        assert sign(2, path, "--key", tmp_path / "none").startswith("cannot read (No such file")

    def test_a_passphrase(self, sign, make, ring, tmp_path, monkeypatch):
        path = make()
        ring.offline.write_bytes(ring.load("offline").pem(b"right"))
        (tmp_path / "secret").write_text("wrong\n")

        assert sign(2, path, "--key", ring.offline, "--passphrase-file", tmp_path / "secret") == (
            f"wrong passphrase: {ring.offline}; try another")
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert sign(2, path, "--key", ring.offline) == (
            f"key has a passphrase: {ring.offline}; give --passphrase-file or set SLOTBENCH_PASSPHRASE")

    def test_not_a_release(self, sign, ring):
        assert sign(1, ring.document, "--key", ring.offline) == (
            f"document is a keys, not a release: {ring.document}, field kind; get or make the file again")
        assert sign(1, ring.offline, "--key", ring.offline) == (
            f"line 1 is not a JSON object: {ring.offline}, offset 0x0; get or make the file again")

    def test_another_product(self, sign, make, ring):
        pump = write_ring(
            {"offline": ring.offline, "online": ring.online, "stranger": ring.stranger},
            ring.document.with_name("pump.keys"), product="pump")
        path = make()
        assert sign(1, path, "--key", ring.offline, "--keys", pump.document) == (
            f"release is for sensor, the keys are for pump: {path}; use the keys of its product")


class TestPublish:
    @pytest.fixture
    def put(self, refused, target, ring: KeyRing, firmware_file):
        def put(code: int, path: Path, *options: object, **changed: object) -> str:
            told = {"key": ring.online, "keys": ring.document, "image": firmware_file} | changed
            pairs = [item for name, value in told.items() for item in (f"--{name}", value)]
            return refused(code, "release", "publish", path, target.root, *pairs, *options)

        return put

    def test_the_wrong_key(self, put, make, ring):
        path = make()
        assert put(1, path, key=ring.offline) == (
            f"key {ring.load('offline').key_id} is an offline key: {ring.offline}; use an online key")
        assert put(1, path, key=ring.stranger).endswith("; use an online key")
        online = make(key="online")
        assert put(1, online) == f"signed by the online key: {online}; sign it with an offline key"
        stranger = make(key="stranger")
        assert put(1, stranger).endswith("; sign it with an offline key of that product")

    def test_not_signed(self, put, make):
        path = make()
        payload = path.read_bytes().partition(b"\n")[0]
        path.write_bytes(payload + b"\n")

        assert put(1, path) == (
            f"document is not signed: it has no second line: {path}, offset 0x{len(payload) + 1:x}; "
            "sign it first")

    def test_the_wrong_product(self, put, make):
        path = make(product="pump")
        assert put(1, path) == (
            f"release is for pump, the keys are for sensor: {path}; use the keys of its product")

    def test_the_wrong_channel(self, put, make):
        path = make()
        assert put(1, path, "--channel", "nightly") == (
            f"release may not appear in nightly, only in stable, beta: {path}; "
            "build it with --channel for that, or publish to another")

    def test_a_lower_counter(self, put, make, target, ring, firmware):
        newer, older = make(8), make(7)
        publish(target, newer, ring.document, [firmware], ring.load("online"), NOW)

        assert put(1, older) == (
            "counter 7 is below 8, which the channel stable has; build it with a higher counter; "
            "--allow-older only shows it to boards that have less")

    def test_the_wrong_image(self, put, make, tmp_path, firmware):
        path, other = make(), tmp_path / "other.bin"
        other.write_bytes(firmware[:-1])
        assert put(1, path, image=other).startswith("no image given is the one in the release: SHA-256 ")
        assert put(2, path, image=tmp_path / "none").startswith("cannot read (No such file")

    @pytest.mark.parametrize(("spoil", "what"), [
        (lambda text: text[:1000], "line 2 does not end"),
        (lambda text: text[:100], "line 1 does not end"),
        (lambda text: text.replace(b'"counter":7', b'"counter":8'),
         "signature is wrong: the document was altered"),
        (lambda text: text.replace(b"\n", b"\r\n"), "byte 0x0d is not printable ASCII"),
        (lambda text: text + b"more", "something follows the signature"),
        (lambda text: b"", "line 1 does not end"),
    ])
    def test_a_truncated_or_altered_release(self, put, make, spoil, what):
        path = make()
        path.write_bytes(spoil(path.read_bytes()))

        line = put(1, path)

        assert line.startswith(f"{what}: {path}")

    def test_a_folder_that_cannot_be_written(self, put, make, target):
        target.root.write_bytes(b"a file")

        assert put(2, make()) == (
            f"not a folder that can be written (File exists): {target.root}; choose another folder")

    def test_a_folder_below_that_cannot_be_written(self, put, make, target):
        target.root.mkdir()
        (target.root / "images").write_bytes(b"a file")

        line = put(2, make())

        assert line.startswith(f"cannot write (File exists): {target.root / 'images'}")

    def test_keys_that_are_no_keys(self, put, make, ring, tmp_path):
        path = make()
        assert put(1, path, keys=path) == (
            f"document is a release, not a keys: {path}, field kind; get or make the file again")
        assert put(2, path, keys=tmp_path / "none").startswith("cannot read (No such file")
        assert put(1, path, keys=ring.online).startswith("line 1 is not a JSON object: ")


class TestShow:
    def test_neither_nor(self, refused, ring):
        assert refused(1, "release", "show", ring.online) == (
            f"neither an ESP8266 image nor a document of twoslot: {ring.online}, offset 0x0")

    def test_an_altered_document(self, refused, make, ring):
        path = make()
        path.write_bytes(path.read_bytes().replace(b'"counter":7', b'"counter":8'))

        assert refused(1, "release", "show", path, "--keys", ring.document) == (
            f"signature is wrong: the document was altered: {path}; build and sign it again")
