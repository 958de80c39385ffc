"""Archives of files, as `cpio -o -H newc` writes them."""

from __future__ import annotations

from collections.abc import Mapping


def pack_cpio(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    out = bytearray()
    for name, data in {**files, "TRAILER!!!": b""}.items():
        fields = [0] * 13
        fields[1], fields[6], fields[11] = 0o100644, len(data), len(name) + 1
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)
