"""A cut at each change of a file while a new twoslot comes, is tried, confirmed or given up, on whole boards."""

from __future__ import annotations

import pytest

from slotbench import data_path
from slotbench.formats.application_record import FolderState
from slotbench.mpy import compile_mpy
from slotbench.mpy.pack import CHOICE, PACK, SECOND_PACK, packed_files
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.package import know
from slotbench.vboard.signals import ChipReset, PowerCut
from support.device.site import Site
from support.device.stock import StockBoard, pack_with, program
from support.sampling import Sampler

NEW = packed_files()[PACK] + b"newer"
BROKEN = pack_with("__init__.py", "raise ValueError\n")
STARTS_MAX = 12
HOUR_MS = 3_600_000


class PackRun:
    """One board from application 1 to 2, which brings a twoslot that works, or does not."""

    def __init__(self, site: Site, *, works: bool, choice: str | None = None) -> None:
        self.works, self.starts = works, 0
        self.stock = StockBoard(site, packed=True, interval_s=600)
        if choice is not None:
            compiled = compile_mpy("twoslot_choice", choice.encode(), 3)
            know(compiled, choice.encode())
            self.stock.files[f"/{CHOICE}"] = compiled

    def is_over(self) -> bool:
        """Whether the update came to its end."""
        record = self.stock.record()
        return record.report == 1 if self.works else record.report in (2, 3)

    def run(self, *cuts: Cut) -> int:
        """From the power on until it is over; the number of file operations."""
        stock = self.stock
        stock.soc.flash.arm(*cuts)
        reason = 0
        while not self.is_over():
            self.starts += 1
            assert self.starts < STARTS_MAX, "it does not come to an end"
            try:
                reason = self._live(stock, reason)
            except PowerCut:
                stock.soc.flash.power_on()
                reason = 0
        return stock.soc.flash.operations

    def _live(self, stock: StockBoard, reason: int) -> int:
        vm = stock.start(reason)
        try:
            vm.run_file("/boot.py")
            assert vm.folder() in ("/app_a", "/app_b"), "no application runs"

            def look() -> None:
                if self.is_over():
                    vm.interrupt_at(stock.soc.clock.ms)

            vm.interrupt_at(stock.soc.clock.ms + HOUR_MS)
            vm.runtime.on_wait = look
            vm.run_file(vm.folder() + "/main.py")
        except ChipReset as reset:
            return reset.reason
        except KeyboardInterrupt:
            assert self.is_over(), "nothing happened in an hour"
        return 0

    def check(self) -> None:
        """What must hold at the end; the next start runs the same."""
        stock, record = self.stock, self.stock.record()
        other = record.folders[1]
        assert (record.active, record.twoslot_pack, record.twoslot_starts) == ((1, 1, 0) if self.works else (0, 0, 0))
        assert other.state is (FolderState.CONFIRMED if self.works else FolderState.BAD)
        assert stock.files["/data/kept"] == b"of the user"
        assert not self.works or stock.files[f"/{SECOND_PACK}"] == NEW
        vm = stock.start(0)
        vm.run_file("/boot.py")
        assert vm.folder() == ("/app_b" if self.works else "/app_a")
        assert vm.eval("__import__('twoslot').status()")["twoslot"] == f"0.1.0 pack {'B' if self.works else 'A'}"


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Site]:
    """What is offered, by whether the new twoslot works."""
    made = {works: Site(tmp_path_factory.mktemp("site")) for works in (True, False)}
    for works, site in made.items():
        first = PackRun(site, works=works)
        first.stock.offer(2, {**program(2), PACK: NEW if works else BROKEN})
        first.stock.close()
    return made


BOTH = pytest.mark.parametrize("works", [True, False], ids=["works", "cannot begin"])


@BOTH
def test_a_cut_at_each_change_of_a_file(works: bool, sites: dict[bool, Site], sampler: Sampler) -> None:
    whole = PackRun(sites[works], works=works)
    count = whole.run()
    whole.check()
    whole.stock.close()
    every = [Cut(at, CutMode.TORN, seed) for at in range(count) for seed in (0, 1)]
    drawn = sampler.draw(f"cuts of a new twoslot, works: {works}", every, 6)
    boots = 0
    for cut in drawn:
        run = PackRun(sites[works], works=works)
        run.run(cut)
        run.check()
        boots += run.starts
        run.stock.close()
    print(f"{count} changes, {len(drawn)} cuts, {boots} boots")


DEFECTS = {
    "a start costs nothing": ("starts -= 1", "starts -= 0"),
    "any record will do": ("if n > sequence:", "if sequence < 0:"),
    "the last start is taken twice": ("if not starts or not save", "if not save"),
    "always the first pack": ("return pack, True", "return 0, True"),
    "a soft reset counts, a start does not": ("if not machine.mem32[0x600013F8] & 0xFF:", "if machine.mem32[0x600013F8] & 0xFF:"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str, sites: dict[bool, Site]) -> None:
    """Of what chooses the pack: in a run without a cut, of a twoslot that works or of one that cannot begin."""
    text, (old, new) = data_path("device", "twoslot_choice.py").read_text(), DEFECTS[name]
    assert text.count(old) == 1, "the module has changed"
    for works, site in sites.items():
        run = PackRun(site, works=works, choice=text.replace(old, new))
        try:
            run.run()
            run.check()
        except AssertionError:
            return
        finally:
            run.stock.close()
    raise AssertionError("neither run found it")


@BOTH
def test_pairs_of_cuts(works: bool, sites: dict[bool, Site], sampler: Sampler) -> None:
    """The second one in what follows the first."""
    whole = PackRun(sites[works], works=works)
    count = whole.run()
    whole.stock.close()
    every = [
        (Cut(first, CutMode.TORN, seed), Cut(second, CutMode.TORN, again))
        for first in range(count) for second in range(first + 1, first + count) for seed in (0, 1) for again in (0, 1)]
    for cuts in sampler.draw(f"pairs of cuts of a new twoslot, works: {works}", every, 4):
        run = PackRun(sites[works], works=works)
        run.run(*cuts)
        run.check()
        run.stock.close()
