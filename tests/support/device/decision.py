"""Inputs of twoslot.boot.decision made of real pages, and what the loader does around a decision."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.vboard.vm import CPythonVM
from support.loader.decision_rows import Row, Slot


class Decider:
    """boot.decision, boot.journal and boot.slots of one VM."""

    def __init__(self, vm: CPythonVM) -> None:
        self.decision = vm.import_("twoslot.boot.decision")
        self.journal = vm.import_("twoslot.boot.journal")
        self.slots = vm.import_("twoslot.boot.slots")

    def cell(self, cell: JournalCell | None = None) -> Any:
        """The device's cell with the content of the bench's; without one, that of a lost journal."""
        return self.journal.Cell(bytearray(cell.pack()) if cell else None)

    def descriptor(self, slot: int, counter: int, **fields: Any) -> Any:
        """The device's descriptor of a slot."""
        values: dict[str, Any] = {
            "length": 4096, "sha256": bytes(32), "fs_start": 0x100000, "product": "lamp", "version": "x",
            "floor": 1, **fields}
        return self.slots.Descriptor(bytearray(SlotDescriptor(slot=slot, counter=counter, **values).pack()))

    def inputs(self, row: Row) -> tuple[Any, list[Any]]:
        """Cell and descriptors of a row of boot-table.md."""
        descriptors = [
            self.descriptor(
                number, slot.descriptor_counter, confirmed=slot.state == SlotState.CONFIRMED,
                bad="marked" in slot.flaws)
            if slot.has_descriptor else None
            for number, slot in enumerate(row.slots)
        ]
        if row.active is None:
            return None, descriptors
        return self.cell(cell_of(row.active, row.slots, row.words)), descriptors

    def boot(self, cell: Any, descriptors: list[Any], rots: Collection[int] = ()) -> tuple[int, int] | None:
        """What the loader starts: it asks again once it has marked a slot that does not verify."""
        failed: list[int] = []
        while True:
            choice: tuple[int, int] | None = self.decision.next_boot(cell, descriptors, failed)
            if choice is None or choice[0] not in rots:
                return choice
            if cell:
                cell.bad[choice[0]] = True
            else:
                descriptors[choice[0]].bad = True
            failed.append(choice[0])

    def settle(self, cell: Any, choice: tuple[int, int], descriptors: list[Any]) -> Any:
        """The cell that counts after the first Python of a boot: appended anew, or the same."""
        kept = cell or self.cell()
        if not self.decision.conclude_last_boot(kept, *choice, descriptors, 3):
            return kept
        kept.sequence += 1
        kept.fold()
        return self.journal.Cell(kept.pack() + b"\xff" * 128)


def cell_of(active: int, slots: tuple[Slot, Slot], words: dict[str, int]) -> JournalCell:
    """The bench's cell of a row."""
    a, b = slots
    return JournalCell(
        sequence=1, active=active, state_a=SlotState(a.state), state_b=SlotState(b.state),
        counter_a=a.counter, counter_b=b.counter, attempts=words["attempts"], copies=words["copies"],
        floor=words["floor"], spent=first(words["spent"]), copied=first(words["copied"]),
        bad_a="bad" in a.flaws, bad_b="bad" in b.flaws,
        confirmed=bool(words["confirmed"]), reached=bool(words["reached"]),
    )


def first(count: int) -> tuple[bool, ...]:
    """Open words of which the first `count` are set."""
    return tuple(number < count for number in range(8))
