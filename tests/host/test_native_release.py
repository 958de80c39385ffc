"""Releases with an image linked for each slot: built, published and shown; what cannot run is refused."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace

import pytest

from slotbench import boards
from slotbench.boards.images import stock_image, user_image
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory
from slotbench.formats import FormatError, blocks
from slotbench.formats.descriptor import Descriptor, ImageForm
from slotbench.formats.image_ea import build_ea
from slotbench.formats.release import Release
from slotbench.release.build import build
from slotbench.vboard import firmware
from support.samples import NOW, PRODUCT, make_firmware

NATIVE, LARGE, GENERIC = (boards.load(name) for name in ("native_512k", "native_1m", "generic_4m"))


@functools.cache
def pair(board: str = "native_512k", *, size: int = 48 * 1024, version: str = "2.0.0") -> tuple[bytes, ...]:
    return firmware.for_board(boards.load(board), version, size=size)


def plain(seed: int = 0) -> bytes:
    """A user image whose bytes do not tell where it was linked for."""
    return build_ea([(0x40100000, bytes([seed]) * 64)], 0x40100000, b"\x33" * 4096)


def release(*images: bytes, board: boards.BoardProfile = NATIVE, **options: object) -> Release:
    fields = {"product": PRODUCT, "boards": [board], "counter": 7, "created": NOW, "version": "2.0.0"}
    return build(*images, **(fields | options))


class TestBuild:
    def test_an_image_for_each_slot(self):
        user1, user2 = pair()

        made = release(user1, user2)

        assert list(made.images) == ["a", "b"]
        for key, data in zip("ab", (user1, user2)):
            ref = made.images[key]
            sha256 = hashlib.sha256(data).hexdigest()
            assert (ref.url, ref.length, ref.sha256) == (f"images/{sha256}.bin", len(data), sha256)
            assert ref.blocks == hashlib.sha256(blocks.table(data)).hexdigest()
            assert ref.form is ImageForm.EA
        assert (made.fs_start, made.fs_version, made.mpy_abi) == (0, 0, 0)
        assert Release.from_payload(made.to_payload()) == made

    @pytest.mark.parametrize("board", [NATIVE, LARGE])
    def test_up_to_the_length_of_the_slot(self, board):
        images = pair(board.name, size=board.slot_bytes)

        assert board.slot_bytes - 16 < len(images[0]) <= board.slot_bytes
        assert release(*images, board=board).images["b"].length == len(images[1])

    def test_a_longer_one(self):
        images = pair(size=NATIVE.slot_bytes + 16)

        with pytest.raises(BenchError, match="user1 image has 241668 bytes, a slot of .* takes 241664"):
            release(*images)

    def test_an_image_that_does_not_tell_is_taken_at_its_word(self):
        assert list(release(plain(1), plain(2)).images) == ["a", "b"]

    @pytest.mark.parametrize(("images", "what", "code"), [
        (pair()[:1], "one image given; native_512k runs images in place and needs one linked for each", 2),
        ((*pair(), pair()[0]), "3 images given; native_512k runs images in place", 2),
        ((pair()[0],) * 2, "both images are the same; slot A .* 0x40201010, slot B at 0x40241010; link", 1),
        (pair()[::-1], "user1 image is linked for 0x40241010, slot A .* at 0x40201010; give user1.bin", 1),
        ((plain(), pair()[0]), "user2 image is linked for 0x40201010, slot B .* at 0x40241010", 1),
        (pair("native_1m"), "user2 image is linked for 0x40281010, slot B .* at 0x40241010; link it", 1),
        ((make_firmware(50_000), pair()[1]), "user1 image is an E9 image, as MicroPython's are; nat", 1),
        ((pair()[0], make_firmware(50_000)), "user2 image is an E9 image", 1),
    ])
    def test_what_could_not_run_is_refused_with_the_reason(self, images, what, code):
        with pytest.raises(BenchError, match=what) as caught:
            release(*images)
        assert caught.value.exit_code == code

    @pytest.mark.parametrize(("data", "what"), [
        (pair()[1][:-1], "truncated"), (b"\x7fELF" * 100, "byte 0 is 0x7f, not 0xe9 or 0xea"),
    ])
    def test_no_whole_image(self, data, what):
        with pytest.raises(FormatError, match=what):
            release(pair()[0], data)

    @pytest.mark.parametrize(("fields", "flag"), [
        ({"fs_start": 0x100000}, "--fs-start"), ({"fs_version": 0x20001}, "--fs-version"),
        ({"mpy_abi": 6}, "--mpy-abi"),
    ])
    def test_native_firmware_has_no_filesystem(self, fields, flag):
        with pytest.raises(BenchError, match=f"neither filesystem nor .mpy.* leave out {flag}") as caught:
            release(*pair(), **fields)
        assert caught.value.exit_code == 2
        assert release(*pair(), **dict.fromkeys(fields, 0)).fs_start == 0

    def test_the_version_has_to_be_told(self):
        with pytest.raises(BenchError, match="does not tell its version; give --version"):
            release(*pair(), version=None)

    def test_boards_that_run_slots_in_different_ways(self):
        with pytest.raises(BenchError, match="native_512k, generic_4m run their slots in different ways"):
            release(*pair(), boards=[NATIVE, GENERIC])

    def test_boards_that_run_slot_b_elsewhere(self):
        with pytest.raises(BenchError, match="slot B of native_1m runs at 0x40281010, of native_512k at"):
            release(plain(1), plain(2), boards=[NATIVE, LARGE])

    def test_a_board_with_a_window_takes_no_user_images(self):
        with pytest.raises(BenchError, match="an EA user image; generic_4m runs E9 images"):
            release(pair()[0], board=GENERIC)
        with pytest.raises(BenchError, match="2 images given; generic_4m runs the same image") as caught:
            release(*pair(), board=GENERIC)
        assert caught.value.exit_code == 2


class TestFits:
    def test_a_stock_image(self):
        assert stock_image(make_firmware(50_000), GENERIC).irom_offset == 0x9000

    def test_a_board_file_with_other_slots(self):
        """What the image was linked for is asked of the board's own slots, not of the known maps alone."""
        image = replace(NATIVE.slots[1].image, start=0x43000)
        other = replace(NATIVE, slots=(NATIVE.slots[0], replace(NATIVE.slots[1], image=image)))
        user2 = firmware.for_board(other, "2.0.0", size=48 * 1024)[1]

        assert user_image(user2, other, 1).irom_bytes
        with pytest.raises(BenchError, match="linked for 0x40243010, slot A .*; give user1.bin first"):
            user_image(user2, other, 0)


class TestFactory:
    def test_slot_a_holds_user1_and_nothing_fills_a_window(self):
        data = pair()[0]

        writes = factory(NATIVE, Firmware(data=data, product=PRODUCT, version="2.0.0", counter=7))

        assert [write.what for write in writes] == ["slot A: 2.0.0", "descriptor of slot A", "boot journal"]
        assert [write.offset for write in writes] == [0x1000, 0x3EF00, 0x3C000]
        descriptor = Descriptor.unpack(writes[1].data)
        assert (descriptor.form, descriptor.length, descriptor.confirmed) == (ImageForm.EA, len(data), True)
        assert (descriptor.fs_start, descriptor.fs_version, descriptor.mpy_abi) == (0, 0, 0)

    @pytest.mark.parametrize(("data", "board", "what"), [
        (pair()[1], NATIVE, "user1 image is linked for 0x40241010"),
        (make_firmware(50_000), NATIVE, "user1 image is an E9 image"),
        (pair()[0], GENERIC, "an EA user image"),
        (make_firmware(251 * 4096 + 4), GENERIC, "image has 1028100 bytes, a slot of .* takes 1028096"),
    ])
    def test_what_slot_a_could_not_run(self, data, board, what):
        with pytest.raises(BenchError, match=what):
            factory(board, Firmware(data=data, product=PRODUCT, version="2.0.0", counter=7))


class TestCommandLine:
    @pytest.fixture
    def files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        paths = [tmp_path / "user1.bin", tmp_path / "user2.bin"]
        for path, data in zip(paths, pair()):
            path.write_bytes(data)
        return paths

    @pytest.fixture
    def build(self, slotbench):
        def build(*paths):
            return slotbench(
                "release", "build", *paths, "--product", PRODUCT, "--board", "native_512k",
                "--version", "2.0.0", "--counter", 7, "-o", "7.release")

        return build

    @pytest.fixture
    def sign(self, slotbench, ring):
        return lambda: slotbench(
            "release", "sign", "7.release", "--key", ring.offline, "--keys", ring.document)

    def test_from_two_files_to_a_directory(self, slotbench, files, build, sign, ring, target):
        built = build(*files)
        assert (built.code, built.err) == (0, "")
        assert built.out.splitlines()[1] == (
            "native_512k: bench only: no on-device updater exists for this map")
        assert sign().code == 0
        ran = slotbench(
            "release", "publish", "7.release", target.root, "--image", files[0], "--image", files[1],
            "--key", ring.online, "--keys", ring.document)

        assert (ran.code, ran.err) == (0, "")
        for data in pair():
            assert target.read(f"images/{hashlib.sha256(data).hexdigest()}.bin") == data

    def test_publish_wants_both(self, slotbench, files, build, sign, ring, target):
        build(*files)
        sign()
        ran = slotbench(
            "release", "publish", "7.release", target.root, "--image", files[0],
            "--key", ring.online, "--keys", ring.document)

        assert ran.code == 1
        assert "no image given is the one in the release" in ran.err
        assert not target.root.exists()

    def test_show(self, slotbench, files, build):
        build(*files)
        shown = slotbench("release", "show", "7.release").out
        lines = [line.split(maxsplit=2) for line in shown.splitlines()]
        image = slotbench("release", "show", files[1]).out

        assert [line[:2] for line in lines if line[0] == "image"] == [["image", "a"], ["image", "b"]]
        assert ["filesystem", "none"] in lines and [".mpy", "version", "none"] in lines
        assert "ESP8266 user image (EA), linked for one slot" in image
        assert "0x40241010, user2.bin (inferred from pointers into it)" in image

    def test_show_an_image_that_does_not_tell(self, slotbench, tmp_path):
        path = tmp_path / "user.bin"
        path.write_bytes(plain())

        assert "not told by the image" in slotbench("release", "show", path).out
        assert '"irom_address": null' in slotbench("release", "show", path, "--json").out

    def test_a_file_that_is_no_image_is_named(self, files, build):
        files[1].write_bytes(b"notes")

        ran = build(*files)

        assert ran.code == 1
        assert "not an ESP8266 image" in ran.err and "user2.bin" in ran.err and ran.err.count("\n") == 1

    def test_one_file(self, files, build, tmp_path):
        ran = build(files[0])

        assert ran.code == 2
        assert "needs one linked for each slot" in ran.err
        assert not list(tmp_path.glob("*.release"))
