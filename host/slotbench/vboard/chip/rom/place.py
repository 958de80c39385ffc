#!/usr/bin/env python3
"""Place the boot ROM's functions: each documented entry at its address, everything else between them.

`place.py entries rom.txt OBJECT...` prints an assembler file with the entries that are jumps.
`place.py script rom.txt OBJECT...` prints the linker script.

Sections say where their content belongs: `.at.NAME` or `.at.ADDRESS` at that entry's address, `.text.NAME` in
any gap, `.ram.ADDRESS` and `.const.ADDRESS` at an address of RAM.
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
DISCARDED = ".xt.* .xtensa.info .comment .note.* .eh_frame"


@dataclass(frozen=True)
class RomEntry:
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
    def kept(self) -> str:
        """What the linker script calls it: two objects may have functions of one name."""
        return f"KEEP(*{self.source}({self.name}))"


def read_entries(path: Path) -> list[RomEntry]:
    """The lines of rom.txt, in order of their addresses."""
    lines = path.read_text(encoding="ascii").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    found = [RomEntry(name, int(address, 16), kind, rest[0] if rest else name)
             for name, address, kind, *rest in rows]
    return sorted(found, key=lambda it: it.address)


def print_of(tool: str, *arguments: str) -> list[str]:
    """The lines that a tool of the cross compiler prints."""
    run = subprocess.run([CROSS + tool, *arguments], check=True, capture_output=True, text=True)
    return run.stdout.splitlines()


def read_sections(objects: Sequence[str]) -> list[Section]:
    """All sections of the objects that are not empty."""
    source, found = "", []
    for row in map(str.split, print_of("objdump", "-h", *objects)):
        if row[1:3] == ["file", "format"]:
            source = Path(row[0].rstrip(":")).name
        elif len(row) == 7 and row[0].isdigit() and int(row[2], 16):
            found.append(Section(source, row[1], int(row[2], 16)))
    return found


def read_symbols(objects: Sequence[str]) -> set[str]:
    """Names that the objects define."""
    rows = map(str.split, print_of("nm", "--defined-only", "-g", *objects))
    return {row[2] for row in rows if len(row) == 3}


def print_entries(entries: list[RomEntry], objects: Sequence[str]) -> None:
    """Print jumps for what is not placed by its own section."""
    placed = {it.name for it in read_sections(objects)}
    defined = read_symbols(objects)
    seen: set[int] = set()
    print("/* Made by place.py. */")
    for entry in entries:
        known = entry.address in seen or f".at.{entry.name}" in placed
        seen.add(entry.address)
        if entry.kind == "data" or known:
            continue
        target = {"zero": "radio_nothing", "trap": f"trap_{entry.name}"}.get(entry.kind, entry.function)
        if entry.kind == "call" and target not in defined:
            sys.exit(f"rom.txt: {entry.name} is a call, and no object defines {target}")
        print(f'    .section .at.{entry.name}, "ax"\n    j       {target}')
        if entry.kind == "trap":
            print(f'    .section .text.{target}, "ax"\n    .align  4\n{target}:\n    mov     a3, a0\n'
                  f'    call0   trap_call\n    .align  4\n    .asciz  "{entry.name}"')


def fixed_places(entries: list[RomEntry], found: list[Section]) -> list[tuple[int, Section]]:
    """What has an address of the ROM, in order. Ends the program when two reach into each other."""
    addresses = {f".at.{it.name}": it.address for it in entries}
    places = [(addresses[it.name] if it.name in addresses else int(it.name[4:], 16), it)
              for it in found if it.name.startswith(".at.")]
    places.append((STORE_TABLE, Section("", ".store_table", STORE - STORE_TABLE)))
    places.sort(key=lambda it: it[0])
    for (address, section), (after, other) in zip(places, places[1:]):
        if address + section.size > after:
            sys.exit(f"{section.name} at {address:#x} has {section.size} bytes and reaches over {other.name}")
    return places


def pack(places: list[tuple[int, Section]], found: list[Section], store: int) -> dict[int, list[Section]]:
    """Which sections lie in which gap: the largest first, each in the first gap that has room."""
    taken = sorted([*((address, it.size) for address, it in places), (STORE, store), (END, 0)])
    gaps = [[(address + size + 3) & ~3, after] for (address, size), (after, _) in zip(taken, taken[1:])]
    starts = [start for start, _ in gaps]
    packed: dict[int, list[Section]] = {}
    code = [it for it in found if it.name.startswith(".text.")]
    for section in sorted(code, key=lambda it: (-it.size, it.source, it.name)):
        size = (section.size + 3) & ~3
        for start, gap in zip(starts, gaps):
            if gap[1] - gap[0] >= size:
                gap[0] += size
                packed.setdefault(start, []).append(section)
                break
        else:
            sys.exit(f"no gap of the ROM has {size} bytes for {section.name}")
    return packed


def output(name: str, address: int, content: str, *, load: str | None = None, stored: bool = True) -> str:
    """An output section: where it runs, where it is loaded from, or that nothing of it is stored."""
    kind = "" if stored else " (NOLOAD)"
    return f"{name} {address:#x}{kind} : AT({load or hex(address)}) {{ {content} }}"


def data_places(found: list[Section]) -> list[tuple[int, str]]:
    """Initialised data, stored one behind the other in the ROM, and the table that says where."""
    constants = sorted((it for it in found if it.name.startswith(".const.")), key=lambda it: it.name)
    blocks = [(".data", DATA[0], "*(.rodata .rodata.* .data .data.*)")]
    blocks += [(f".const_{it.name[7:]}", int(it.name[7:], 16), it.kept) for it in constants]
    places, table, load = [], [], hex(STORE)
    for index, (name, address, content) in enumerate(blocks):
        places.append((address, output(name, address, f"{content} . = ALIGN(4);", load=load)))
        places.append((address + 1, f"store_{index} = LOADADDR({name}) + SIZEOF({name});"))
        table.append(f"LONG(ADDR({name})) LONG(ADDR({name}) + SIZEOF({name})) LONG(LOADADDR({name}))")
        load = f"store_{index}"
    places.append((DATA[0] + 2, f'ASSERT(SIZEOF(.data) <= {DATA[1] - DATA[0]}, "too much initialised data")'))
    places.append((STORE_TABLE, output(
        ".store_table", STORE_TABLE, f"_rom_store_table = .; {' '.join(table)} LONG(0)")))
    return places


def variable_places(found: list[Section]) -> list[tuple[int, str]]:
    """Variables: at public addresses, below the stack's reach, and buffers that only the ROM itself uses."""
    places = []
    for it in found:
        if it.name.startswith(".ram."):
            address = int(it.name[5:], 16)
            places.append((address, output(f".ram_{address:x}", address, it.kept, stored=False)))
    low = "_bss_start = .; *(.bss .bss.[!h]* COMMON)"
    places.append((BSS[0], output(".bss", BSS[0], low, stored=False)))
    places.append((BSS[0] + 1, f'ASSERT(SIZEOF(.bss) <= {BSS[1] - BSS[0]}, "too many variables")'))
    places.append((HIGH_BSS[0], output(".high_bss", HIGH_BSS[0], "*(.bss.high)", stored=False)))
    room = HIGH_BSS[1] - HIGH_BSS[0]
    places.append((HIGH_BSS[0] + 1, f'ASSERT(SIZEOF(.high_bss) <= {room}, "too large buffers")'))
    places.append((HIGH_BSS[0] + 2, f"_bss_end = {HIGH_BSS[1]:#x};"))
    return places


def print_script(entries: list[RomEntry], objects: Sequence[str]) -> None:
    """Print the linker script, in order of addresses."""
    found = read_sections(objects)
    fixed = fixed_places(entries, found)
    store = sum((it.size + 7) & ~3 for it in found if it.name.startswith((".rodata", ".data", ".const.")))
    code = {address: [it] for address, it in fixed if it.name != ".store_table"} | pack(fixed, found, store)
    places = [(address, output(f".rom_{address:x}", address, " ".join(it.kept for it in inside)))
              for address, inside in code.items()]
    places += data_places(found) + variable_places(found)
    print("/* Made by place.py. */\nENTRY(_ResetHandler)\nSECTIONS\n{")
    for _, text in sorted(places):
        print("    " + text)
    print(f"    /DISCARD/ : {{ *({DISCARDED}) }}\n}}")


def main(arguments: Sequence[str]) -> None:
    """Run one of the two commands."""
    command, table, *objects = arguments
    {"entries": print_entries, "script": print_script}[command](read_entries(Path(table)), objects)


if __name__ == "__main__":
    main(sys.argv[1:])
