"""Every wrong input gets one line and the right exit code, and changes no file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import data_path
from slotbench.locks import LOCK_NAME
from slotbench.release.publish import publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease, RunCommand
from support.samples import NOW, KeyRing, make_firmware, write_ring

GENERIC = data_path("boards", "generic_4m.toml").read_text(encoding="utf-8")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder but lock files: content of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*")) if path.name != LOCK_NAME
    }


@pytest.fixture
def refused(slotbench: RunCommand, tmp_path: Path) -> Callable[..., str]:
    """Run a command line that must fail with this exit code and change nothing; return its line."""

    def refused(code: int, *arguments: object) -> str:
        before = snapshot(tmp_path)
        ran = slotbench(*arguments)
        assert ran.code == code, ran.err
        assert ran.out == ""
        assert ran.err.startswith("slotbench: ") and ran.err.count("\n") == 1
        assert snapshot(tmp_path) == before
        return ran.err.removeprefix("slotbench: ").rstrip("\n")

    return refused


@pytest.fixture
def refused_build(refused: Callable[..., str], tmp_path: Path) -> Callable[..., str]:
    def refused_build(code: int, data: bytes | None, *options: object, board: object = "generic_4m") -> str:
        path = tmp_path / "firmware.bin"
        if data is not None:
            path.write_bytes(data)
        return refused(
            code, "release", "build", path, "--product", "sensor", "--board", board, "--counter", "7",
            "-o", tmp_path / "out.release", *options)

    return refused_build


def test_build_from_a_missing_file(refused_build: Callable[..., str], tmp_path: Path) -> None:
    assert refused_build(2, None) == (
        f"cannot read (No such file or directory): {tmp_path / 'firmware.bin'}; check the path")


def test_build_from_a_folder(refused: Callable[..., str], tmp_path: Path) -> None:
    line = refused(
        2, "release", "build", tmp_path, "--product", "s", "--board", "d1_mini", "--counter", "7")
    assert line == f"cannot read (Is a directory): {tmp_path}; check the path"


@pytest.mark.parametrize(("spoil", "what", "offset"), [
    (lambda data: b"#!/bin/sh\n" + bytes(60_000), "not an ESP8266 image: byte 0 is 0x23, not 0xe9", 0),
    (lambda data: b"", "an empty file, not an ESP8266 image", 0),
    (lambda data: data[:60_000],
     "truncated: image has 60000 bytes, its length word says 101276", 0x8FFC),
    (lambda data: data[:20_000], "truncated inside segment 0", 20_000),
    (lambda data: data + b"\n",
     "altered, or bytes were appended: image has 101293 bytes, its length word says 101276", 0x8FFC),
    (lambda data: data[:80_000] + b"\0" + data[80_001:],
     "altered: MD5 at the end does not match", 101_276),
    (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
     "altered: checksum is ", 0x740F),
    (lambda data: data[:9] + b"\0\0\0" + data[12:],
     "segment 0 (28672 bytes for 0x00000000) is not inside", 8),
])
def test_build_from_a_damaged_image(
    refused_build: Callable[..., str], tmp_path: Path, firmware: bytes, spoil: Callable[[bytes], bytes],
    what: str, offset: int,
) -> None:
    line = refused_build(1, spoil(firmware))

    assert line.startswith(what)
    assert line.split("; ")[0].endswith(f": {tmp_path / 'firmware.bin'}, offset 0x{offset:x}")


def test_build_from_an_image_larger_than_the_slot(refused_build: Callable[..., str]) -> None:
    assert refused_build(1, make_firmware(0xFB000 + 4)) == (
        "image has 1028100 bytes, a slot of generic_4m takes 1028096; use a smaller build")


def test_build_for_a_board_with_a_smaller_slot(
    refused_build: Callable[..., str], tmp_path: Path,
) -> None:
    small = tmp_path / "small.toml"
    small.write_text(GENERIC.replace("0xFB000 }\nsource = \"device", "0x90000 }\nsource = \"device"))

    assert refused_build(1, make_firmware(641_964), "--board", small) == (
        "image has 641964 bytes, a slot of small takes 589824; use a smaller build")


def test_build_from_an_image_with_another_filesystem_start(refused_build: Callable[..., str]) -> None:
    data = make_firmware(603_232, literals=(0x98000,))

    told = (
        "filesystem of the image (an image of the bench, which no chip runs) starts at 0x99000, that of "
        "generic_4m at 0x100000; use MicroPython's default build, for 2 MiB or more; this one would not find "
        "the files")
    assert refused_build(1, data) == told
    assert refused_build(1, data, "--fs-start", "0x100000") == told


def test_build_without_a_fact_that_the_image_lacks(refused_build: Callable[..., str]) -> None:
    for options in ((), ("--fs-start", "0x100000")):
        assert refused_build(1, make_firmware(literals=()), *options) == (
            "an image of the bench, which no chip runs does not show where its filesystem starts; "
            "give an image that does; no option can say it instead")


def test_build_with_fields_out_of_range(refused_build: Callable[..., str], firmware: bytes) -> None:
    assert refused_build(1, firmware, "--floor", "8") == "8 is above the counter 7: field floor"
    assert refused_build(1, firmware, "--version", "v" * 17) == "17 characters, not 1-16: field version"


def test_build_for_an_unknown_board(refused_build: Callable[..., str], firmware: bytes) -> None:
    assert refused_build(2, firmware, board="d1mini") == (
        "no such board: d1mini; use one of d1_mini, d1_mini_dev, esp01s_1m, generic_4m, generic_4m_stock, "
        "native_1m, native_512k, nodemcu, sonoff_1m, or the path of a .toml file")


@pytest.mark.parametrize(("old", "new", "what", "key"), [
    ("start_offset = 0x003000", "start_offset = 0x002000",
     "0x002000-0x002fff overlaps regions.journal 0x001000-0x002fff", "regions.window_log"),
    ("[loader_header]", "[loader_heder]", "field is missing", "loader_header"),
    ("flash_mode", "flash_mod", "field is missing", "loader_header.flash_mode"),
    ("[chip]", "[chip]\nsizebytes = 5", "field is not known", "chip.sizebytes"),
])
def test_build_for_a_board_file_with_a_mistake(
    refused_build: Callable[..., str], tmp_path: Path, firmware: bytes, old: str, new: str, what: str,
    key: str,
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GENERIC.replace(old, new))

    line = refused_build(2, firmware, board=path)

    assert line.startswith(f"{what}: {path}, field {key}; ")


def test_build_into_an_unwritable_folder(
    refused: Callable[..., str], tmp_path: Path, firmware_file: Path,
) -> None:
    """A file in the way stops root too."""
    out = firmware_file / "below" / "out.release"

    assert refused(
        2, "release", "build", firmware_file, "--product", "sensor", "--board", "d1_mini",
        "--counter", "7", "-o", out,
    ) == f"no such folder: {out.parent}; make it, or check the path"


def test_new_keys_over_existing_ones(refused: Callable[..., str], ring: KeyRing) -> None:
    folder = ring.offline.parent

    assert refused(2, "keys", "new", folder, "--product", "sensor") == (
        f"file exists and is not overwritten: {folder / 'offline.pem'}; choose another folder")


def test_new_keys_in_an_unwritable_folder(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    assert refused(2, "keys", "new", tmp_path / "file", "--product", "sensor") == (
        f"cannot write (File exists): {tmp_path / 'file' / 'offline.pem'}; "
        "choose a folder that can be written")


@pytest.fixture
def refused_sign(refused: Callable[..., str], make_release: MakeRelease) -> Callable[..., str]:
    def refused_sign(code: int, path: Path, *options: object) -> str:
        return refused(code, "release", "sign", path, *options)

    return refused_sign


def test_sign_with_the_wrong_key(
    refused_sign: Callable[..., str], make_release: MakeRelease, ring: KeyRing,
) -> None:
    path = make_release()
    line = refused_sign(1, path, "--key", ring.online, "--keys", ring.document)
    assert line == (
        f"key {ring.load('online').key_id} is an online key: {ring.online}; use an offline key")
    line = refused_sign(1, path, "--key", ring.stranger, "--keys", ring.document)
    assert line.startswith(f"key {ring.load('stranger').key_id} is not a key of sensor: ")


def test_sign_with_a_file_that_is_not_a_key(
    refused_sign: Callable[..., str], make_release: MakeRelease, ring: KeyRing, tmp_path: Path,
) -> None:
    path = make_release()
    (tmp_path / "text").write_text("hello")
    assert refused_sign(2, path, "--key", tmp_path / "text") == (
        f"not a private key: {tmp_path / 'text'}; make one with `slotbench keys new`")
    said = refused_sign(2, path, "--key", tmp_path / "none")
    assert said.startswith("cannot read (No such file") and said.endswith("slotbench keys rotate --online`")


def test_sign_with_a_wrong_or_missing_passphrase(
    refused_sign: Callable[..., str], make_release: MakeRelease, ring: KeyRing, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make_release()
    ring.offline.write_bytes(ring.load("offline").to_pem(b"right"))
    (tmp_path / "secret").write_text("wrong\n")

    assert refused_sign(2, path, "--key", ring.offline, "--passphrase-file", tmp_path / "secret") == (
        f"wrong passphrase: {ring.offline}; give the right one")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert refused_sign(2, path, "--key", ring.offline) == (
        f"key has a passphrase: {ring.offline}; give --passphrase-file or set SLOTBENCH_PASSPHRASE")


def test_sign_a_file_that_is_not_a_release(refused_sign: Callable[..., str], ring: KeyRing) -> None:
    assert refused_sign(1, ring.document, "--key", ring.offline) == (
        f"document kind is keys, not release: {ring.document}, field kind; get the file again, or make it again")
    assert refused_sign(1, ring.offline, "--key", ring.offline) == (
        f"line 1 is not a JSON object: {ring.offline}, offset 0x0; get the file again, or make it again")


def test_sign_with_the_keys_of_another_product(
    refused_sign: Callable[..., str], make_release: MakeRelease, ring: KeyRing,
) -> None:
    pump = write_ring(
        {"offline": ring.offline, "online": ring.online, "stranger": ring.stranger},
        ring.document.with_name("pump.keys"), product="pump")
    path = make_release()
    assert refused_sign(1, path, "--key", ring.offline, "--keys", pump.document) == (
        f"release is for sensor, the keys are for pump: {path}; use the keys of its product")


@pytest.fixture
def refused_publish(
    refused: Callable[..., str], site: Store, ring: KeyRing, firmware_file: Path,
) -> Callable[..., str]:
    def refused_publish(code: int, path: Path, *options: object, **changed: object) -> str:
        told = {"key": ring.online, "keys": ring.document, "image": firmware_file} | changed
        pairs = [item for name, value in told.items() for item in (f"--{name}", value)]
        return refused(code, "release", "publish", path, site.root, *pairs, *options)

    return refused_publish


def test_publish_with_the_wrong_key(
    refused_publish: Callable[..., str], make_release: MakeRelease, ring: KeyRing,
) -> None:
    path = make_release()
    assert refused_publish(1, path, key=ring.offline) == (
        f"key {ring.load('offline').key_id} is an offline key: {ring.offline}; use an online key")
    assert refused_publish(1, path, key=ring.stranger).endswith("; use an online key")
    online = make_release(key="online")
    assert refused_publish(1, online) == f"signed by the online key: {online}; sign it with an offline key"
    stranger = make_release(key="stranger")
    assert refused_publish(1, stranger).endswith("; sign it with an offline key of that product")


def test_publish_an_unsigned_release(refused_publish: Callable[..., str], make_release: MakeRelease) -> None:
    path = make_release()
    payload = path.read_bytes().partition(b"\n")[0]
    path.write_bytes(payload + b"\n")

    assert refused_publish(1, path) == (
        f"document is not signed: line 2 is missing: {path}, offset 0x{len(payload) + 1:x}; "
        "sign it first")


def test_publish_a_release_of_another_product(
    refused_publish: Callable[..., str], make_release: MakeRelease,
) -> None:
    path = make_release(product="pump")
    assert refused_publish(1, path) == (
        f"release is for pump, the keys are for sensor: {path}; use the keys of its product")


def test_publish_to_a_channel_that_the_release_excludes(
    refused_publish: Callable[..., str], make_release: MakeRelease,
) -> None:
    path = make_release()
    assert refused_publish(1, path, "--channel", "nightly") == (
        f"release is not for the channel nightly, only for stable, beta: {path}; "
        "build it with --channel nightly, or publish it to another channel")


def test_publish_a_lower_counter(
    refused_publish: Callable[..., str], make_release: MakeRelease, site: Store, ring: KeyRing,
    firmware: bytes,
) -> None:
    newer, older = make_release(8), make_release(7)
    publish_release(site, newer, ring.document, [firmware], ring.load("online"), NOW)

    assert refused_publish(1, older) == (
        "counter 7 is below 8, which the channel stable has; build it with a higher counter; "
        "with --allow-older only boards with a lower one take it")


def test_publish_with_another_image(
    refused_publish: Callable[..., str], make_release: MakeRelease, tmp_path: Path, firmware: bytes,
) -> None:
    path, other = make_release(), tmp_path / "other.bin"
    other.write_bytes(firmware[:-1])
    assert refused_publish(1, path, image=other).startswith("the image of the release is not given: SHA-256 ")
    assert refused_publish(2, path, image=tmp_path / "none").startswith("cannot read (No such file")


@pytest.mark.parametrize(("spoil", "what"), [
    (lambda text: text[:1000], "line 2 does not end"),
    (lambda text: text[:100], "line 1 does not end"),
    (lambda text: text.replace(b'"counter":7', b'"counter":8'),
     "signature is wrong: the document was altered"),
    (lambda text: text.replace(b"\n", b"\r\n"), "byte 0x0d is not printable ASCII"),
    (lambda text: text + b"more", "there are bytes after the signature"),
    (lambda text: b"", "line 1 does not end"),
])
def test_publish_a_damaged_release(
    refused_publish: Callable[..., str], make_release: MakeRelease, spoil: Callable[[bytes], bytes],
    what: str,
) -> None:
    path = make_release()
    path.write_bytes(spoil(path.read_bytes()))

    line = refused_publish(1, path)

    assert line.startswith(f"{what}: {path}")


def test_publish_into_an_unwritable_folder(
    refused_publish: Callable[..., str], make_release: MakeRelease, site: Store,
) -> None:
    site.root.write_bytes(b"a file")

    assert refused_publish(2, make_release()) == (
        f"folder cannot be written (File exists): {site.root}; choose another folder")


def test_publish_over_an_unwritable_subfolder(
    refused_publish: Callable[..., str], make_release: MakeRelease, site: Store,
) -> None:
    site.root.mkdir()
    (site.root / "images").write_bytes(b"a file")

    line = refused_publish(2, make_release())

    assert line.startswith(f"cannot write (File exists): {site.root / 'images'}")


def test_publish_with_a_file_that_is_not_a_keys_document(
    refused_publish: Callable[..., str], make_release: MakeRelease, ring: KeyRing, tmp_path: Path,
) -> None:
    path = make_release()
    assert refused_publish(1, path, keys=path) == (
        f"document kind is release, not keys: {path}, field kind; get the file again, or make it again")
    assert refused_publish(2, path, keys=tmp_path / "none").startswith("cannot read (No such file")
    assert refused_publish(1, path, keys=ring.online).startswith("line 1 is not a JSON object: ")


def test_show_an_unknown_file(refused: Callable[..., str], ring: KeyRing) -> None:
    assert refused(1, "release", "show", ring.online) == (
        f"a key or a certificate, neither an ESP8266 image nor a document of twoslot: {ring.online}, offset 0x0")


def test_show_an_altered_document(
    refused: Callable[..., str], make_release: MakeRelease, ring: KeyRing,
) -> None:
    path = make_release()
    path.write_bytes(path.read_bytes().replace(b'"counter":7', b'"counter":8'))

    assert refused(1, "release", "show", path, "--keys", ring.document) == (
        f"signature is wrong: the document was altered: {path}; build and sign it again")
