"""The result of identifying a file: its kind of firmware, the facts in it, and why it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import Image
from slotbench.formats.image_ea import UserImage
from slotbench.formats.twoslot_version import NONE
from slotbench.images.frozen import BOOT, MAIN, twoslot_number


class Family(StrEnum):
    """The kinds of files. Only the first three can become releases."""

    MICROPYTHON = "micropython"
    BENCH = "bench"
    """Made by the bench or its tests, for virtual boards: real in form, but nothing a chip runs."""
    NATIVE = "native"
    """A user image (EA) of native firmware."""
    OTHER_FIRMWARE = "other firmware"
    """ESP8266 firmware that twoslot cannot start from a slot."""
    LOADER = "loader"
    """A boot loader without an application."""
    OTHER_CHIP = "other chip"
    NO_FIRMWARE = "no firmware"


class Filesystem(StrEnum):
    """The filesystem that MicroPython makes."""

    LITTLEFS = "LittleFS"
    FAT = "FAT"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedImage:
    """The identity of a file, as far as independent evidence agrees on it. Offsets and sizes are in bytes.

    `title` is what a person calls it. `problem` is the reason why it cannot become a release, with `cure`
    and the `offset` of the mistake if there is one; None if it can. `layout_problem` says that the reason is
    the flash layout only: the image is whole and starts, but not from a slot. `image` is the structure of a
    whole image; use `parsed` after `require_usable`.

    `micropython`, `sdk`: versions in its text. `link_address`: the CPU address of the irom, by pointers.
    `user_start`: the result of `esp.flash_user_start()`, by its code; `fs_start`: the flash offset of the
    filesystem. `fs_version` and `mpy_abi` follow from MicroPython's version. `frozen`: the names of frozen
    modules; `has_hook_call`: frozen code names the boot hook. Facts that the file does not show are None.
    """

    family: Family
    title: str
    length: int
    form: ImageForm | None = None
    problem: str | None = None
    cure: str = ""
    offset: int | None = None
    layout_problem: bool = False
    image: Image | UserImage | None = None
    micropython: str | None = None
    sdk: str | None = None
    link_address: int | None = None
    user_start: int | None = None
    filesystem: Filesystem | None = None
    fs_start: int | None = None
    fs_version: int | None = None
    mpy_abi: int | None = None
    frozen: tuple[str, ...] = ()
    has_hook_call: bool = False

    @property
    def twoslot(self) -> int:
        """The version of the twoslot that is frozen into it (formats.twoslot_version); 0 for none."""
        return twoslot_number(self.frozen)

    @property
    def has_twoslot(self) -> bool:
        """Whether twoslot is frozen into it."""
        return self.twoslot != NONE

    @property
    def hides_main(self) -> bool:
        """Whether a frozen main.py runs instead of the file."""
        return MAIN in self.frozen

    @property
    def hides_hook(self) -> bool:
        """Whether a frozen boot.py runs instead of the file, and does not run the boot hook."""
        return BOOT in self.frozen and not self.has_hook_call

    @property
    def parsed(self) -> Image | UserImage:
        """The parsed structure, of an image without a problem."""
        assert self.image is not None, self.problem
        return self.image
