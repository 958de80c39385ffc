"""Release document (FORMATS): one signed version of a product's firmware."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from slotbench.formats import FormatError, blocks
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.fields import TIME_MAX, Fields, dump_json

KIND = "release"
FORMAT = 1
VERSION_CHARS_MAX = 16
NOTES_CHARS_MAX = 200
URL_CHARS_MAX = 256
DEVELOPMENT = 1 << 31
"""The bit that a board sets in the counter of a development release."""
RAW_ONLY = ("raw",)
"""The encodings of an image of which there is nothing but its bytes."""
LENGTH_MAX = blocks.BLOCKS_MAX * blocks.BLOCK_BYTES

_URL = re.compile(r"http://[!-~]+|(?!/)(?![a-z]+:)[!-~]+")


class Preflight(StrEnum):
    """What is known of a release from a start on the emulated chip; the values are those of FORMATS."""

    PASSED = "passed"
    FAILED = "failed"
    NO_COMPILER = "no-compiler"
    """Nothing there compiles the emulated chip."""
    NO_NETWORK = "no-network"
    """Nothing there connects the emulated chip to a server: no libslirp."""
    SKIPPED = "skipped"
    """The person who built the release wanted none."""
    NATIVE = "native"
    """The map is not for MicroPython."""
    BENCH = "bench"
    """The image is one of the bench's own, which no chip runs."""


def is_development(counter: int) -> bool:
    """Whether a counter on a board belongs to a development release."""
    return counter >= DEVELOPMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """One image of a release: its URL, its length in bytes, and its digests in hex."""

    url: str
    length: int
    sha256: str
    blocks: str
    blocks_url: str
    encodings: tuple[str, ...] = RAW_ONLY
    form: ImageForm = ImageForm.E9


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release.

    `images` has the key "any", or "a" and "b"; `created` is Unix seconds, `fs_start` a flash
    offset; `twoslot` the version of the twoslot that is frozen into it (formats.twoslot_version), 0
    for none. `frozen_main` is true when it has a frozen `main.py`, which runs in place of any other.
    `preflight`, `twoslot` and `frozen_main` are None in a release that was built before they existed.
    """

    product: str
    boards: tuple[str, ...]
    channels: tuple[str, ...]
    version: str
    counter: int
    created: int
    images: Mapping[str, ImageRef]
    fs_start: int
    fs_version: int
    fs_upgrade: bool
    mpy_abi: int
    floor: int
    notes: str
    preflight: Preflight | None = None
    twoslot: int | None = None
    frozen_main: bool | None = None

    def to_payload(self) -> bytes:
        """Line 1 of the document.

        Raises FormatError with the name of a field that the format does not allow.
        """
        fields = {"kind": KIND, "format": FORMAT, **asdict(self)}
        for optional in ("preflight", "twoslot", "frozen_main"):
            if fields[optional] is None:
                del fields[optional]
        payload = dump_json(fields)
        self.from_payload(payload)
        return payload

    @classmethod
    def from_payload(cls, payload: bytes) -> Release:
        """The release in line 1. Raises FormatError for a missing, wrong or unknown field."""
        fields = Fields.parse(payload, KIND, FORMAT)
        release = cls(
            product=fields.name("product"),
            boards=fields.names("boards"),
            channels=fields.names("channels"),
            version=fields.text("version", 1, VERSION_CHARS_MAX),
            counter=fields.integer("counter", low=1),
            created=fields.integer("created", high=TIME_MAX),
            images=_read_images(fields.object("images")),
            fs_start=fields.integer("fs_start"),
            fs_version=fields.integer("fs_version"),
            fs_upgrade=fields.boolean("fs_upgrade"),
            mpy_abi=fields.integer("mpy_abi", high=255),
            floor=fields.integer("floor"),
            notes=fields.text("notes", 0, NOTES_CHARS_MAX, ascii_only=False),
            preflight=fields.choice("preflight", tuple(Preflight)) if fields.has("preflight") else None,
            twoslot=fields.integer("twoslot") if fields.has("twoslot") else None,
            frozen_main=fields.boolean("frozen_main") if fields.has("frozen_main") else None,
        )
        fields.require_empty()
        if release.floor > release.counter:
            raise FormatError(f"{release.floor} is above the counter {release.counter}", field="floor")
        return release


def _read_images(fields: Fields) -> dict[str, ImageRef]:
    keys = fields.keys()
    if keys not in ({"any"}, {"a", "b"}):
        raise FormatError(f'keys are {sorted(keys)}, not ["any"] or ["a", "b"]', field="images")
    images = {key: _read_image(fields.object(key)) for key in sorted(keys)}
    fields.require_empty()
    return images


def _read_image(fields: Fields) -> ImageRef:
    image = ImageRef(
        url=_read_url(fields, "url"),
        length=fields.integer("length", 1, LENGTH_MAX),
        sha256=fields.hex_digest("sha256"),
        blocks=fields.hex_digest("blocks"),
        blocks_url=_read_url(fields, "blocks_url"),
        encodings=fields.names("encodings"),
        form=ImageForm(fields.integer("form", min(ImageForm), max(ImageForm))),
    )
    if "raw" not in image.encodings:
        raise FormatError('"raw" is missing', field=fields.path("encodings"))
    fields.require_empty()
    return image


def _read_url(fields: Fields, key: str) -> str:
    url = fields.text(key, 1, URL_CHARS_MAX)
    if not _URL.fullmatch(url):
        raise FormatError(
            f"{url!r} is neither http:// nor relative to the server", field=fields.path(key))
    return url
