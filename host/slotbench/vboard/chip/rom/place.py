#!/usr/bin/env python3
"""Place the boot ROM's functions: each documented entry at its address, everything else between them.

`place.py entries rom.txt OBJECT...` prints an assembler file with the entries that are jumps.
`place.py script rom.txt OBJECT...` prints the linker script. Sections tell where code belongs: `.at.NAME` or `.at.ADDRESS` at that
entry's address, `.text.NAME` in any gap, `.ram.ADDRESS` and `.const.ADDRESS` at an address of RAM.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CROSS = os.environ.get("CROSS", "xtensa-lx106-elf-")
END = 0x40010000
DATA = (0x3FFFC200, 0x3FFFC6F8)
BSS = (0x3FFFD880, 0x3FFFDCB0)
HIGH_BSS = (0x3FFFDE60, 0x3FFFEB30)
STORE_TABLE, STORE = 0x4000E328, 0x4000E388


@dataclass(frozen=True)
class Entry:
    """A line of rom.txt."""

    name: str
    address: int
    kind: str
    function: str


@dataclass(frozen=True)
class Section:
    """A section of an object."""

    source: str
    name: str
    size: int

    @property
    def pattern(self) -> str:
        """What the linker script calls it: two objects may have functions of one name."""
        return f"*{self.source}({self.name})"


def read_entries(path: Path) -> list[Entry]:
    """The lines of rom.txt, in order of their addresses."""
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    return sorted(
        (Entry(name, int(address, 16), kind, rest[0] if rest else name) for name, address, kind, *rest in rows),
        key=lambda it: it.address)


def sections(objects: Sequence[str]) -> list[Section]:
    """All sections of the objects that are not empty."""
    listing = subprocess.run([CROSS + "objdump", "-h", *objects], check=True, capture_output=True, text=True).stdout
    source, found = "", []
    for row in (line.split() for line in listing.splitlines()):
        if row[1:3] == ["file", "format"]:
            source = Path(row[0].rstrip(":")).name
        elif len(row) == 7 and row[0].isdigit() and int(row[2], 16):
            found.append(Section(source, row[1], int(row[2], 16)))
    return found


def symbols(objects: Sequence[str]) -> set[str]:
    """Names that the objects define."""
    listing = subprocess.run(
        [CROSS + "nm", "--defined-only", "-g", *objects], check=True, capture_output=True, text=True).stdout
    return {line.split()[2] for line in listing.splitlines() if len(line.split()) == 3}


def print_entries(entries: list[Entry], objects: Sequence[str]) -> None:
    """Print jumps for what is not placed by its own section."""
    placed = {it.name for it in sections(objects)}
    defined = symbols(objects)
    seen: set[int] = set()
    print("/* Made by place.py. */")
    for entry in entries:
        if entry.kind == "data" or entry.address in seen or f".at.{entry.name}" in placed:
            seen.add(entry.address)
            continue
        seen.add(entry.address)
        target = {"zero": "radio_nothing", "trap": f"trap_{entry.name}"}.get(entry.kind, entry.function)
        if entry.kind == "call" and target not in defined:
            sys.exit(f"rom.txt: {entry.name} is a call, and no object defines {target}")
        print(f'    .section .at.{entry.name}, "ax"\n    j       {target}')
        if entry.kind == "trap":
            print(f'    .section .text.{target}, "ax"\n    .align  4\n{target}:\n    mov     a3, a0\n'
                  f'    call0   trap_call\n    .align  4\n    .asciz  "{entry.name}"')


def fixed(entries: list[Entry], found: list[Section]) -> list[tuple[int, int, str]]:
    """What has an address of the ROM: address, bytes, section."""
    addresses = {f".at.{it.name}": it.address for it in entries}
    rows = [(addresses[it.name] if it.name in addresses else int(it.name[4:], 16), it.size, it.name)
            for it in found if it.name.startswith(".at.")]
    rows.append((STORE_TABLE, STORE - STORE_TABLE, ".store_table"))
    rows.sort()
    for (address, size, name), (after, _, other) in zip(rows, rows[1:]):
        if address + size > after:
            sys.exit(f"{name} ({size} bytes at {address:#x}) reaches over {other} at {after:#x}")
    return rows


def pack(rows: list[tuple[int, int, str]], found: list[Section], store: int) -> dict[int, list[Section]]:
    """Which sections lie in which gap: the largest first, each in the first gap that has room."""
    taken = sorted([*((address, size) for address, size, _ in rows), (STORE, store), (END, 0)])
    gaps = [[(address + size + 3) & ~3, after] for (address, size), (after, _) in zip(taken, taken[1:])]
    placed: dict[int, list[Section]] = {}
    starts = [start for start, _ in gaps]
    code = [it for it in found if it.name.startswith(".text.") or it.name == ".text"]
    for section in sorted(code, key=lambda it: (-it.size, it.source, it.name)):
        size = (section.size + 3) & ~3
        for start, gap in zip(starts, gaps):
            if gap[1] - gap[0] >= size:
                gap[0] += size
                placed.setdefault(start, []).append(section)
                break
        else:
            sys.exit(f"no gap of the ROM has {size} bytes for {section.name}")
    return placed


def print_script(entries: list[Entry], objects: Sequence[str]) -> None:
    """Print the linker script."""
    found = sections(objects)
    rows = fixed(entries, found)
    constants = sorted((it for it in found if it.name.startswith(".const.")), key=lambda it: it.name)
    data = sum((it.size + 7) & ~3 for it in found if it.name.startswith((".rodata", ".data", ".const.")))
    code = [(address, [f"*({name})"]) for address, _, name in rows if name != ".store_table"]
    code += [(address, [it.pattern for it in inside]) for address, inside in pack(rows, found, data).items()]
    places = [(address, f".rom_{address:x} {address:#x} : AT({address:#x}) {{ {' '.join(f'KEEP({it})' for it in inside)} }}")
              for address, inside in code]
    places += [(int(it.name[5:], 16), f".ram_{it.name[5:]} 0x{it.name[5:]} (NOLOAD) : AT(0x{it.name[5:]}) {{ KEEP(*({it.name})) }}")
               for it in found if it.name.startswith(".ram.")]
    places.append((DATA[0], f"""\
.data {DATA[0]:#x} : AT({STORE:#x}) {{ _data_start = .; *(.rodata .rodata.* .data .data.*) . = ALIGN(4); _data_end = .; }}
    ASSERT(_data_end <= {DATA[1]:#x}, "too much initialised data")
    _store_0 = LOADADDR(.data) + SIZEOF(.data);"""))
    blocks = ["LONG(_data_start) LONG(_data_end) LONG(LOADADDR(.data))"]
    for index, it in enumerate(constants):
        section = f".const_{it.name[7:]}"
        places.append((int(it.name[7:], 16), f"""\
{section} 0x{it.name[7:]} : AT(_store_{index}) {{ KEEP(*({it.name})) . = ALIGN(4); }}
    _store_{index + 1} = LOADADDR({section}) + SIZEOF({section});"""))
        blocks.append(f"LONG(ADDR({section})) LONG(ADDR({section}) + SIZEOF({section})) LONG(LOADADDR({section}))")
    places.append((STORE_TABLE, f".store_table {STORE_TABLE:#x} : AT({STORE_TABLE:#x}) {{ _rom_store_table = .; {' '.join(blocks)} LONG(0) }}"))
    places.append((BSS[0], f"""\
.bss {BSS[0]:#x} (NOLOAD) : AT({BSS[0]:#x}) {{ _bss_start = .; *(.bss .bss.[!h]* COMMON) }}
    ASSERT(. <= {BSS[1]:#x}, "too many variables")"""))
    places.append((HIGH_BSS[0], f"""\
.high_bss {HIGH_BSS[0]:#x} (NOLOAD) : AT({HIGH_BSS[0]:#x}) {{ *(.bss.high) }}
    ASSERT(. <= {HIGH_BSS[1]:#x}, "too large buffers")
    _bss_end = {HIGH_BSS[1]:#x};"""))
    print("/* Made by place.py. */\nENTRY(_ResetHandler)\nSECTIONS\n{")
    for _, text in sorted(places):
        print("    " + text)
    print("    /DISCARD/ : { *(.xt.* .xtensa.info .comment .note.* .eh_frame) }\n}")


def main(arguments: Sequence[str]) -> None:
    """Run one of the two commands."""
    command, table, *objects = arguments
    {"entries": print_entries, "script": print_script}[command](read_entries(Path(table)), objects)


if __name__ == "__main__":
    main(sys.argv[1:])
