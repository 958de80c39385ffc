"""Application document (FORMATS): one signed version of a product's own program."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from slotbench.formats import FormatError
from slotbench.formats.application_patch import PATCHES_MAX, is_base_name
from slotbench.formats.fields import TIME_MAX, Fields, dump_json
from slotbench.formats.file_list import FILES_MAX, LIST_BYTES_MAX
from slotbench.formats.release import NOTES_CHARS_MAX, VERSION_CHARS_MAX, Preflight, is_development

__all__ = ["SIZE_MAX", "DATA_MAX", "FORMAT", "KIND", "ApplicationDocument"]

KIND: Final = "application"
FORMAT: Final = 1
DATA_MAX: Final = 65535
SIZE_MAX: Final = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationDocument:
    """An application.

    `list_sha256` is that of the file list in hex, `list_length` its bytes; `files` how many files it names,
    `size` their lengths in sum. `firmware_low` and `firmware_high` are the lowest and the highest counter
    of a firmware that it runs under; a high of 0 is no limit. `mpy_abi` is the version of its `.mpy`
    files, 0 when it has none. `data` is the number of the layout of the data that it writes. `created` is
    Unix seconds. `patches_from` names the applications from which there is a patch (application_patch),
    `twoslot` is the version of the twoslot that it brings (twoslot_version), None without one.
    """

    product: str
    boards: tuple[str, ...]
    channels: tuple[str, ...]
    version: str
    counter: int
    created: int
    list_sha256: str
    list_length: int
    files: int
    size: int
    firmware_low: int = 0
    firmware_high: int = 0
    mpy_abi: int = 0
    data: int = 0
    floor: int = 0
    notes: str = ""
    preflight: Preflight | None = None
    patches_from: tuple[str, ...] = ()
    twoslot: int | None = None

    def to_payload(self) -> bytes:
        """Line 1 of the document.

        Raises FormatError with the name of a field that the format does not allow.
        """
        fields = {"kind": KIND, "format": FORMAT, **asdict(self)}
        for optional in ("preflight", "twoslot"):
            if fields[optional] is None:
                del fields[optional]
        if not self.patches_from:
            del fields["patches_from"]
        payload = dump_json(fields)
        self.from_payload(payload)
        return payload

    @classmethod
    def from_payload(cls, payload: bytes) -> ApplicationDocument:
        """The application in line 1. Raises FormatError for a missing, wrong or unknown field."""
        fields = Fields.parse(payload, KIND, FORMAT)
        found = cls(
            product=fields.name("product"),
            boards=fields.names("boards"),
            channels=fields.names("channels"),
            version=fields.text("version", 1, VERSION_CHARS_MAX),
            counter=fields.integer("counter", low=1),
            created=fields.integer("created", high=TIME_MAX),
            list_sha256=fields.hex_digest("list_sha256"),
            list_length=fields.integer("list_length", 1, LIST_BYTES_MAX),
            files=fields.integer("files", 1, FILES_MAX),
            size=fields.integer("size", high=SIZE_MAX),
            firmware_low=fields.integer("firmware_low"),
            firmware_high=fields.integer("firmware_high"),
            mpy_abi=fields.integer("mpy_abi", high=255),
            data=fields.integer("data", high=DATA_MAX),
            floor=fields.integer("floor"),
            notes=fields.text("notes", 0, NOTES_CHARS_MAX, ascii_only=False),
            preflight=fields.choice("preflight", tuple(Preflight)) if fields.has("preflight") else None,
            patches_from=_bases(fields) if fields.has("patches_from") else (),
            twoslot=fields.integer("twoslot") if fields.has("twoslot") else None,
        )
        fields.require_empty()
        if found.floor > found.counter:
            raise FormatError(f"{found.floor} is above the counter {found.counter}", field="floor")
        if found.firmware_high and found.firmware_high < found.firmware_low:
            raise FormatError(
                f"{found.firmware_high} is below firmware_low {found.firmware_low}", field="firmware_high")
        return found

    def fits(self, firmware: int, mpy_abi: int = 0) -> bool:
        """Whether it runs under the firmware with this counter and `.mpy` version (0: not known).

        A board without the loader has the firmware 0. A development firmware has counters of its own: of
        them none is too low or too high.
        """
        if self.mpy_abi and mpy_abi and self.mpy_abi != mpy_abi:
            return False
        if is_development(firmware):
            return True
        return self.firmware_low <= firmware and (not self.firmware_high or firmware <= self.firmware_high)


def _bases(fields: Fields) -> tuple[str, ...]:
    """The names in `patches_from`. Raises FormatError."""
    key = "patches_from"
    found = fields.sequence(key)
    if not 1 <= len(found) <= PATCHES_MAX:
        raise FormatError(f"{len(found)} names, not 1 to {PATCHES_MAX}", field=key)
    for value in found:
        if not isinstance(value, str) or not is_base_name(value):
            raise FormatError(f"{value!r} is not the start of a file list's SHA-256", field=key)
    if len(set(found)) < len(found):
        raise FormatError("a name is listed twice", field=key)
    return tuple(found)
