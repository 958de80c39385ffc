"""Releases with an image linked for each slot are built, published and shown. Images that could not run are refused."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotbench import boards
from slotbench.boards.images import stock_image, user_image
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats import FormatError, blocks
from slotbench.formats.descriptor import ImageForm, SlotDescriptor
from slotbench.formats.image_ea import build_ea, parse_ea
from slotbench.formats.release import Release
from slotbench.release.build import build_release
from slotbench.release.store import Store
from slotbench.vboard import firmware
from support.commands import CommandResult, RunCommand
from support.samples import NOW, PRODUCT, KeyRing, make_firmware

NATIVE, LARGE, GENERIC = (boards.load(name) for name in ("native_512k", "native_1m", "generic_4m"))


@functools.cache
def image_pair(
    board: str = "native_512k", *, size: int = 48 * 1024, version: str = "2.0.0",
) -> tuple[bytes, ...]:
    return firmware.for_board(boards.load(board), version, size=size)


def unlinked_image(seed: int = 0) -> bytes:
    """A user image whose bytes hold no link address."""
    return build_ea([(0x40100000, bytes([seed]) * 64)], 0x40100000, b"\x33" * 4096)


def relinked(data: bytes) -> bytes:
    """Almost the same image for the same address, as the second one of a 1024+1024 pair is."""
    parsed = parse_ea(data)
    irom = bytearray(data[16 : 16 + parsed.irom_bytes])
    irom[-300] ^= 1
    return build_ea([(part.address, part.data) for part in parsed.segments], parsed.entry, bytes(irom))


def build_native(*images: bytes, board: boards.BoardProfile = NATIVE, **options: object) -> Release:
    fields: dict[str, Any] = {"product": PRODUCT, "boards": [board], "counter": 7, "created": NOW, "version": "2.0.0"}
    return build_release(*images, **(fields | options))


def test_a_release_with_an_image_for_each_slot() -> None:
    user1, user2 = image_pair()

    made = build_native(user1, user2)

    assert list(made.images) == ["a", "b"]
    for key, data in zip("ab", (user1, user2)):
        ref = made.images[key]
        sha256 = hashlib.sha256(data).hexdigest()
        assert (ref.url, ref.length, ref.sha256) == (f"images/{sha256}.bin", len(data), sha256)
        assert ref.blocks == hashlib.sha256(blocks.block_table(data)).hexdigest()
        assert ref.form is ImageForm.EA
    assert (made.fs_start, made.fs_version, made.mpy_abi) == (0, 0, 0)
    assert Release.from_payload(made.to_payload()) == made


@pytest.mark.parametrize("board", [NATIVE, LARGE])
def test_images_as_long_as_the_slot(board: boards.BoardProfile) -> None:
    images = image_pair(board.name, size=board.slot_bytes)

    assert board.slot_bytes - 16 < len(images[0]) <= board.slot_bytes
    assert build_native(*images, board=board).images["b"].length == len(images[1])


def test_an_image_longer_than_the_slot_is_refused() -> None:
    images = image_pair(size=NATIVE.slot_bytes + 16)

    with pytest.raises(BenchError, match="user1 image has 241668 bytes, a slot of .* takes 241664"):
        build_native(*images)


def test_images_without_a_link_address_are_accepted() -> None:
    assert list(build_native(unlinked_image(1), unlinked_image(2)).images) == ["a", "b"]


@pytest.mark.parametrize(("images", "what", "code"), [
    (image_pair()[:1], "one image given; native_512k runs images in place and needs one linked for each", 2),
    ((*image_pair(), image_pair()[0]), "3 images given; native_512k runs images in place", 2),
    ((image_pair()[0],) * 2, "both images are the same; slot A .* 0x40201010, slot B at 0x40241010; link", 1),
    (image_pair()[::-1], "wrong order: the first is .*, user2, the second .*, user1; give user1.bin first", 1),
    ((unlinked_image(), image_pair()[0]), "user2 image .* is linked for 0x40201010, slot B .* at 0x40241010", 1),
    (image_pair("native_1m"), "user2 image .* is linked for 0x40281010, slot B .* at 0x40241010; link it", 1),
    ((image_pair()[0], image_pair(version="3.0.0")[1]), "the images are no pair: .* are different firmware", 1),
    ((image_pair()[0], image_pair(size=52 * 1024)[1]), "the images are no pair: .* bytes", 1),
    ((image_pair()[0], relinked(image_pair()[0])), "both images .* are linked for 0x40201010, so they are a pair", 1),
    ((make_firmware(50_000), image_pair()[1]), "user1 image is an E9 image .*; nat", 1),
    ((image_pair()[0], make_firmware(50_000)), "user2 image is an E9 image", 1),
])
def test_images_that_could_not_run_are_refused(images: tuple[bytes, ...], what: str, code: int) -> None:
    with pytest.raises(BenchError, match=what) as caught:
        build_native(*images)
    assert caught.value.exit_code == code


@pytest.mark.parametrize(("data", "what"), [
    (image_pair()[1][:-1], "truncated"), (b"\x7fELF" * 100, "an ELF file, the output"),
])
def test_a_damaged_image_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        build_native(image_pair()[0], data)


@pytest.mark.parametrize(("fields", "flag"), [
    ({"fs_start": 0x100000}, "--fs-start"), ({"fs_version": 0x20001}, "--fs-version"),
    ({"mpy_abi": 6}, "--mpy-abi"),
])
def test_filesystem_options_are_refused_for_native_firmware(fields: dict[str, Any], flag: str) -> None:
    with pytest.raises(BenchError, match=f"neither filesystem nor .mpy.* leave out {flag}") as caught:
        build_native(*image_pair(), **fields)
    assert caught.value.exit_code == 2
    assert build_native(*image_pair(), **dict.fromkeys(fields, 0)).fs_start == 0


def test_the_version_is_required() -> None:
    with pytest.raises(BenchError, match="does not show its version; give --version"):
        build_native(*image_pair(), version=None)


def test_boards_with_different_layouts_are_refused() -> None:
    with pytest.raises(BenchError, match="native_512k, generic_4m run their slots in different ways"):
        build_native(*image_pair(), boards=[NATIVE, GENERIC])


def test_boards_with_different_slots_are_refused() -> None:
    with pytest.raises(BenchError, match="slot B of native_1m runs at 0x40281010, of native_512k at"):
        build_native(unlinked_image(1), unlinked_image(2), boards=[NATIVE, LARGE])


def test_a_board_with_a_window_refuses_user_images() -> None:
    with pytest.raises(BenchError, match="an EA user image .*; generic_4m runs MicroPython's E9 images"):
        build_native(image_pair()[0], board=GENERIC)
    with pytest.raises(BenchError, match="2 images given; generic_4m runs the same image") as caught:
        build_native(*image_pair(), board=GENERIC)
    assert caught.value.exit_code == 2


def test_a_stock_image_fits_a_board_with_a_window() -> None:
    assert stock_image(make_firmware(50_000), GENERIC).parsed.irom_offset == 0x9000


def test_the_link_address_is_checked_against_the_boards_own_slots() -> None:
    """Not only against the known maps."""
    image = replace(NATIVE.slots[1].image, start=0x43000)
    other = replace(NATIVE, slots=(NATIVE.slots[0], replace(NATIVE.slots[1], image=image)))
    user2 = firmware.for_board(other, "2.0.0", size=48 * 1024)[1]

    assert user_image(user2, other, 1).parsed.irom_bytes
    with pytest.raises(BenchError, match="linked for 0x40243010, slot A .*; give the image that is linked for slot A"):
        user_image(user2, other, 0)


def test_the_factory_plan_writes_user1_to_slot_a() -> None:
    data = image_pair()[0]

    writes = factory_writes(NATIVE, Firmware(data=data, product=PRODUCT, version="2.0.0", counter=7))

    assert [write.what for write in writes] == ["slot A: 2.0.0", "descriptor of slot A", "boot journal"]
    assert [write.offset for write in writes] == [0x1000, 0x3EF00, 0x3C000]
    descriptor = SlotDescriptor.unpack(writes[1].data)
    assert (descriptor.form, descriptor.length, descriptor.confirmed) == (ImageForm.EA, len(data), True)
    assert (descriptor.fs_start, descriptor.fs_version, descriptor.mpy_abi) == (0, 0, 0)


@pytest.mark.parametrize(("data", "board", "what"), [
    (image_pair()[1], NATIVE, "user1 image .* is linked for 0x40241010"),
    (make_firmware(50_000), NATIVE, "user1 image is an E9 image"),
    (image_pair()[0], GENERIC, "an EA user image"),
    (make_firmware(251 * 4096 + 4), GENERIC, "image has 1028100 bytes, a slot of .* takes 1028096"),
])
def test_the_factory_plan_refuses_what_slot_a_could_not_run(
    data: bytes, board: boards.BoardProfile, what: str,
) -> None:
    with pytest.raises(BenchError, match=what):
        factory_writes(board, Firmware(data=data, product=PRODUCT, version="2.0.0", counter=7))


@pytest.fixture
def image_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / "user1.bin", tmp_path / "user2.bin"]
    for path, data in zip(paths, image_pair()):
        path.write_bytes(data)
    return paths


@pytest.fixture
def run_build(slotbench: RunCommand) -> RunCommand:
    def run_build(*paths: Path) -> CommandResult:
        return slotbench(
            "release", "build", *paths, "--product", PRODUCT, "--board", "native_512k",
            "--version", "2.0.0", "--counter", 7, "-o", "7.release")

    return run_build


@pytest.fixture
def run_sign(slotbench: RunCommand, ring: KeyRing) -> RunCommand:
    return lambda: slotbench(
        "release", "sign", "7.release", "--key", ring.offline, "--keys", ring.document)


def test_commands_from_two_images_to_a_site(
    slotbench: RunCommand, image_files: list[Path], run_build: RunCommand, run_sign: RunCommand,
    ring: KeyRing, site: Store,
) -> None:
    built = run_build(*image_files)
    assert (built.code, built.err) == (0, "")
    said = built.out.splitlines()
    for number, path in enumerate(image_files, 1):
        assert f"{path}: an image of the bench, which no chip runs, user{number}" in said
    assert said[-2] == (
        "native_512k: bench only: no on-device updater exists for this map")
    assert run_sign().code == 0
    ran = slotbench(
        "release", "publish", "7.release", site.root, "--image", image_files[0], "--image", image_files[1],
        "--key", ring.online, "--keys", ring.document)

    assert (ran.code, ran.err) == (0, "")
    for data in image_pair():
        assert site.read(f"images/{hashlib.sha256(data).hexdigest()}.bin") == data


def test_publish_needs_both_images(
    slotbench: RunCommand, image_files: list[Path], run_build: RunCommand, run_sign: RunCommand,
    ring: KeyRing, site: Store,
) -> None:
    run_build(*image_files)
    run_sign()
    ran = slotbench(
        "release", "publish", "7.release", site.root, "--image", image_files[0],
        "--key", ring.online, "--keys", ring.document)

    assert ran.code == 1
    assert "the image of the release is not given" in ran.err
    assert not site.root.exists()


def test_show_a_native_release_and_image(
    slotbench: RunCommand, image_files: list[Path], run_build: RunCommand,
) -> None:
    run_build(*image_files)
    shown = slotbench("release", "show", "7.release").out
    lines = [line.split(maxsplit=2) for line in shown.splitlines()]
    image = slotbench("release", "show", image_files[1]).out

    assert [line[:2] for line in lines if line[0] == "image"] == [["image", "a"], ["image", "b"]]
    assert ["filesystem", "none"] in lines and [".mpy", "version", "none"] in lines
    assert image.startswith(f"{image_files[1]}: an image of the bench, which no chip runs, user2\n")


def test_show_an_image_without_a_link_address(slotbench: RunCommand, tmp_path: Path) -> None:
    path = tmp_path / "user.bin"
    path.write_bytes(unlinked_image())

    assert slotbench("release", "show", path).out.startswith(
        f"{path}: firmware of an unknown kind, a user image\n")


def test_build_names_a_file_that_is_not_an_image(image_files: list[Path], run_build: RunCommand) -> None:
    image_files[1].write_bytes(b"notes")

    ran = run_build(*image_files)

    assert ran.code == 1
    assert "not an ESP8266 image" in ran.err and "user2.bin" in ran.err and ran.err.count("\n") == 1


def test_build_from_one_image_is_refused(
    image_files: list[Path], run_build: RunCommand, tmp_path: Path,
) -> None:
    ran = run_build(image_files[0])

    assert ran.code == 2
    assert "needs one linked for each slot" in ran.err
    assert not list(tmp_path.glob("*.release"))
