"""`slotbench demo`: one board, one server, scene after scene. Each scene checks its own claims."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slotbench import boards
from slotbench.demo.program import ProgramScenes
from slotbench.demo.screen import DemoScreen
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats.document import Document
from slotbench.formats.head import Head
from slotbench.release import store
from slotbench.release.keys import SigningKey
from slotbench.release.publish import Rollout
from slotbench.release.publisher import Publisher
from slotbench.server import BackgroundServer, create_app
from slotbench.vboard import firmware
from slotbench.vboard.board import BoardState, Boot, VirtualBoard
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import PAGE
from slotbench.vboard.loader.model import LoaderModel
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.vm import CPythonVM, DeviceVM

PRODUCT = "lamp"
_INTERVAL_S = 900
_LOOK_EVERY_US = 10_000
_PATIENCE_MS = 3 * 3_600_000
_BLOCK = 4096
_CUT_AT_PERCENT = 55
_DOING = {
    "release": "scheduled check: the head is signed and offers a newer counter",
    "table": "the release is signed, and for this product, board and channel: taken",
    "download": "spare slot invalidated, block table written, blocks checked",
    "verify": "every block in place; the whole image is read back",
    "list": "the application is signed, and for this product, board and channel: taken",
    "unpack": "spare folder emptied, room for it counted, file by file",
    "activate": "its SHA-256 is the release's: descriptor, then journal (ready, 3 attempts), then restart",
}
"""Phases of an update that get a line of their own."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the table: what happened, and what it cost."""

    number: int
    outcome: str
    fetched_bytes: int
    erased_sectors: int
    flash_ms: int
    boots: int


class UpdateDemo:
    """Plays the scenes on `screen`.

    `folder` gets the keys, the releases and the served directory. `now` is Unix seconds. `size` is that
    of the bench's own images in bytes. `images` with `version` are the new release instead: one image, or
    one for each slot of an in-place board. `play` raises BenchError (exit code 1) if a scene fails.
    """

    def __init__(
        self,
        screen: DemoScreen,
        folder: Path,
        now: int,
        *,
        board: str = "d1_mini",
        size: int = firmware.DEFAULT_BYTES,
        images: Sequence[bytes] = (),
        version: str = "2.0.0",
        seed: int = 0,
        vm: Callable[..., DeviceVM] = CPythonVM,
        loader: type[LoaderModel] | type[LoaderMachine] = LoaderModel,
    ) -> None:
        self.screen = screen
        self.now = now
        self.seed = seed
        self.vm = vm
        self.loader = loader
        self.size = size
        self.profile = boards.load(board)
        self.publisher = Publisher(folder, PRODUCT, now)
        self.second = tuple(images) or self._firmware(version)
        self.second_version = version
        self.staged = self.second[-1]
        """The image of the new release for slot B."""
        self.steps: list[Step] = []
        self.network = LoopbackNetwork()
        first = Firmware(data=self._firmware("1.0.0")[0], product=PRODUCT, version="1.0.0", counter=1)
        writes = [(write.offset, write.data) for write in factory_writes(self.profile, first)]
        self.flash = factory_flash(self.profile, writes, seed=seed)
        self.board: VirtualBoard
        self._cut_armed = False
        self._doing = ""
        self._next_look_us = 0

    def play(self) -> list[Step]:
        """Play all scenes and print the table."""
        with BackgroundServer(create_app(self.publisher.site.root)) as server:
            self._set_up(server.url)
            scenes: tuple[tuple[str, Callable[[], str]], ...] = (
                ("A scheduled check finds 2.0.0, and the power goes away in mid-write", self._interrupted),
                ("Power is back: the old release runs, the download resumes, the new one proves itself",
                 self._resumed),
                ("A bad release: 3.0.0 is signed, and crashes on every boot", self._crashing),
                ("A forged release: 4.0.0, offered by the real head, signed by somebody else", self._forged),
                ("By hand: 5.0.0 is held back for everybody, a person forces it from the REPL",
                 self._by_hand),
            )
            if self.profile.filesystem:
                scenes += ProgramScenes(self).scenes()
            for number, (title, scene) in enumerate(scenes, 1):
                self._play_scene(number, title, scene)
        self._table()
        return self.steps

    # The scenes. Each returns a line for the table.

    def _interrupted(self) -> str:
        self._publish(self.second, self.second_version, 2)
        self._cut_armed = True
        self.board.power_on()
        self.run_until(lambda: self.board.state is BoardState.OFF, "the power cut")
        done = self._blocks_in_place(1)
        cut = self.board.cut
        self.expect(cut is not None and cut.mode is CutMode.TORN, "the cut tears a write")
        self.screen.print_event(
            self.board.clock.ms, f"POWER LOST inside a write (cut {cut}), {done} blocks are in slot B"
        )
        self.expect(0 < done < self._blocks(self.staged), "the download was cut in the middle")
        return f"power lost with {done} of {self._blocks(self.staged)} blocks in place"

    def _resumed(self) -> str:
        before = self._blocks_in_place(1)
        mark = self._image_bytes()
        self.board.power_on()
        self.expect(self.board.boots[-1].marker.version == "1.0.0", "1.0.0 runs after the cut")
        self.run_until(lambda: self._confirmed(2), f"{self.second_version} confirmed")
        missing = self._blocks(self.staged) - before
        fetched = self._image_bytes() - mark
        self.expect(
            fetched <= missing * _BLOCK, f"{missing} missing blocks are fetched, not {fetched} bytes"
        )
        self.expect(self._slot_holds(1, self.staged), "slot B holds the release byte for byte")
        irom = self.board.irom()
        self.expect(irom in self.staged[self.profile.irom_offset :], "what executes from flash is its irom")
        taken = {request.path for request in self.network.requests if request.path.startswith("/images/")}
        right = {f"/{store.image_name(hashlib.sha256(self.staged).hexdigest())}"}
        self.expect(taken == right, "the image for slot B was fetched, and no other")
        if self.profile.in_place:
            address = self._irom_address()
            self.screen.print_line(f"   user2.bin was fetched, for slot B; its irom runs at 0x{address:08x}")
        self.screen.print_event(self.board.clock.ms, "healthy: a signed head was fetched; confirmed")
        return f"resumed at block {before}, {missing} blocks fetched, confirmed"

    def _crashing(self) -> str:
        mark = len(self.board.boots)
        self._publish(self._firmware("3.0.0", Behaviour.CRASH), "3.0.0", 3)
        self.run_until(lambda: self._bad_counter() == 3, "3.0.0 marked bad")
        trials = [boot for boot in self.board.boots[mark:] if boot.marker.version == "3.0.0"]
        self.expect(len(trials) == 1, f"3.0.0 had one attempt, not {len(trials)}")
        self.expect(self._runs(2), "the board is back on the release before")
        asked = self._image_bytes()
        self.board.run(2 * _INTERVAL_S * 1000)
        self.expect(self._image_bytes() == asked, "3.0.0 is not fetched again")
        self.expect(30 in self._log_codes(), "the board says why: 30, marked bad")
        self.screen.print_event(
            self.board.clock.ms, "next scheduled check: 3.0.0 is refused, it is marked bad (30)")
        return "1 attempt, back by itself, marked bad, not taken again"

    def _forged(self) -> str:
        self._publish_forged(self._firmware("4.0.0"), 4)
        asked = self._image_bytes()
        self.run_until(lambda: 22 in self._log_codes(), "4.0.0 refused")
        self.expect(self._image_bytes() == asked, "not one byte of it is fetched")
        self.expect(self._runs(2) and self._confirmed(2), "the board runs what it ran")
        self.screen.print_event(self.board.clock.ms, "4.0.0 is refused: its signature is wrong (22)")
        return "refused: signature is wrong"

    def _by_hand(self) -> str:
        self._publish(self._firmware("5.0.0"), "5.0.0", 5, Rollout(percent=0))
        self.run_until(lambda: 39 in self._log_codes(), "5.0.0 held back")
        self.screen.print_event(self.board.clock.ms, "scheduled check: 5.0.0 is not for this board yet (39)")
        self._type("twoslot.check()")
        self.expect(self._runs(2), "a check changes nothing")
        self._type("twoslot.update(force=True)")
        self.run_until(lambda: self._confirmed(5), "5.0.0 confirmed")
        self.screen.print_event(self.board.clock.ms, "healthy: confirmed")
        self._type("twoslot.status()")
        return "held back on schedule, forced by a person, confirmed"

    # What the scenes need.

    def _set_up(self, url: str) -> None:
        settings = {
            "product": PRODUCT,
            "board": self.profile.name,
            "channel": "stable",
            "server": url,
            "interval_s": _INTERVAL_S,
        }
        self.board = VirtualBoard(
            self.profile,
            self.flash,
            self.network,
            board_files(settings, self.publisher.keys_path.read_bytes()),
            seed=self.seed,
            vm=self.vm,
            loader=self.loader,
            on_boot=self._on_boot,
            on_wait=self._on_wait,
        )
        self.screen.print_line(f"A virtual ESP8266 ({self.profile.title}) and a real HTTP server at {url}.")
        self.screen.print_line("No hardware is involved: flash, radio and CPU are modelled.")
        if self.profile.bench_only:
            size = self.profile.slot_bytes // 1024
            self.screen.print_line(f"{self.profile.name} is {boards.BENCH_ONLY}.")
            self.screen.print_line(f"Its slots of {size} KB run in place: user1.bin in A, user2.bin in B.")
            self.screen.print_line("MicroPython does not fit: twoslot's modules stand for a native updater.")

    def _play_scene(self, number: int, title: str, scene: Callable[[], str]) -> None:
        self.screen.print_scene(number, title)
        received, erases, boots = self.network.received, self.flash.erases, len(self.board.boots)
        programmed = self.flash.programmed_bytes
        outcome = scene()
        erased = self.flash.erases - erases
        pages = (self.flash.programmed_bytes - programmed) // PAGE
        timing = self.flash.timing
        self.steps.append(
            Step(
                number=number,
                outcome=outcome,
                fetched_bytes=self.network.received - received,
                erased_sectors=erased,
                boots=len(self.board.boots) - boots,
                flash_ms=(erased * timing.sector_erase_us + pages * timing.page_program_us) // 1000,
            )
        )

    def _table(self) -> None:
        totals = Step(
            number=0,
            outcome="all of it happened as told",
            fetched_bytes=sum(step.fetched_bytes for step in self.steps),
            erased_sectors=sum(step.erased_sectors for step in self.steps),
            flash_ms=sum(step.flash_ms for step in self.steps),
            boots=sum(step.boots for step in self.steps),
        )
        rows = [
            (
                str(step.number or ""),
                step.outcome,
                f"{step.fetched_bytes:,}",
                str(step.erased_sectors),
                f"{step.flash_ms / 1000:.1f} s",
                str(step.boots),
            )
            for step in (*self.steps, totals)
        ]
        self.screen.print_line()
        self.screen.print_table(
            ("", "what happened", "bytes fetched", "sectors erased", "flash, modelled", "boots"), rows
        )

    def _firmware(self, version: str, does: Behaviour = Behaviour.HEALTHY) -> tuple[bytes, ...]:
        return firmware.for_board(self.profile, version, does, size=self.size, seed=self.seed)

    def _publish(
        self, images: Sequence[bytes], version: str, counter: int, rollout: Rollout = Rollout()
    ) -> None:
        self.publisher.publish(
            images, [self.profile], version=version, counter=counter, now=self.now + counter, rollout=rollout
        )
        size = " + ".join(f"{len(image):,}" for image in images)
        self.screen.print_line(
            f"   published: {version}, counter {counter}, {size} bytes, for {rollout.percent} %")

    def _publish_forged(self, images: Sequence[bytes], counter: int) -> None:
        """Publish a forged release, as somebody can who has the online key and the server, but not
        the offline key.
        """
        path, release = self.publisher.build(
            images, [self.profile], version="4.0.0", counter=counter, now=self.now
        )
        path.unlink()
        payload = release.to_payload()
        other = SigningKey.generate()
        forged = Document(payload, self.publisher.offline.key_id, other.sign(payload).signature)
        site = self.publisher.site
        last = Head.from_payload((site.read(store.head_name(PRODUCT, "stable")) or b"").split(b"\n")[0])
        head = Head(
            product=PRODUCT, channel="stable", epoch=last.epoch, seq=last.seq + 1, release=forged.digest,
            counter=counter, issued=self.now + counter, expires=last.expires)
        for image in images:
            site.write(store.image_name(hashlib.sha256(image).hexdigest()), image)
        site.write(store.release_name(forged.digest), forged.pack())
        site.write(store.head_name(PRODUCT, "stable"), self.publisher.online.sign(head.to_payload()).pack())
        self.screen.print_line(
            f"   published: 4.0.0, counter {counter}, with a signature that is not the offline key's"
        )

    def run_until(self, reached: Callable[[], bool], what: str) -> None:
        """Run the board until this is reached. Raises BenchError when it is not."""
        self.board.run(_PATIENCE_MS, until=reached)
        self.expect(reached(), f"{what} within {_PATIENCE_MS // 3_600_000} h on the board")

    def _type(self, line: str) -> None:
        self.screen.print_line(f"   >>> {line}")
        # The board prints its own progress.
        self.board.on_print, self.board.on_wait = self._on_print, None
        self.board.run_line(line)
        self.board.on_print, self.board.on_wait = None, self._on_wait

    def _on_print(self, text: str) -> None:
        self.screen.print_line(f"   {text.rstrip()}")

    def _on_boot(self, board: VirtualBoard, boot: Boot) -> None:
        why = boot.why.name.lower().replace("_", " ")
        version = boot.marker.version or "?"
        self.screen.print_event(boot.at_ms, f"boot: slot {'AB'[boot.slot]}, {version} ({why})")

    def _on_wait(self, board: VirtualBoard) -> None:
        if board.clock.us < self._next_look_us:
            return  # a step takes longer, and to ask a VM takes time
        self._next_look_us = board.clock.us + _LOOK_EVERY_US
        doing, done, total = board.activity()
        if doing != self._doing:
            self._doing = doing
            if doing in _DOING:
                self.screen.print_event(board.clock.ms, _DOING[doing])
        if doing != "download":
            return
        self.screen.print_progress(done, total, f"{self.network.received // 1024} KB received so far")
        if self._cut_armed and done * 100 >= total * _CUT_AT_PERCENT:
            self._cut_armed = False
            # The next operation erases the block's sector, the one after it programs it. That one
            # is torn.
            self.flash.arm(Cut(self.flash.operations + 1, CutMode.TORN, self.seed))

    # Checks.

    def expect(self, so: bool, what: str) -> None:
        """Raise BenchError unless it is so."""
        if not so:
            raise BenchError(
                f"the demo expected: {what}", where=f"scene {len(self.steps) + 1}", cure="report it"
            )

    def _blocks(self, image: bytes) -> int:
        return -(-len(image) // _BLOCK)

    def _blocks_in_place(self, slot: int) -> int:
        start = self.profile.slots[slot].image.start
        image = self.staged
        return sum(
            self.flash.peek(start + at, len(image[at : at + _BLOCK])) == image[at : at + _BLOCK]
            for at in range(0, len(image), _BLOCK)
        )

    def _irom_address(self) -> int:
        return self.board.result.irom_address if self.board.result is not None else 0

    def _slot_holds(self, slot: int, image: bytes) -> bool:
        return self.flash.peek(self.profile.slots[slot].image.start, len(image)) == image

    def _image_bytes(self) -> int:
        """Bytes of images received so far, without the heads of the responses (at most 512 bytes
        each).
        """
        asked = [request for request in self.network.requests if request.path.startswith("/images/")]
        return sum(max(0, request.received - 512) for request in asked)

    def _confirmed(self, counter: int) -> bool:
        cell = self.board.cell
        if cell is None or not self._runs(counter):
            return False
        return cell.counters[cell.active] == counter and cell.states[cell.active].name == "CONFIRMED"

    def _runs(self, counter: int) -> bool:
        result = self.board.result
        return self.board.state is BoardState.RUNNING and result is not None and result.counter == counter

    def _bad_counter(self) -> int:
        cell = self.board.cell
        return cell.bad_counter if cell is not None else 0

    def _log_codes(self) -> list[int]:
        return [code for _, code, _ in self.board.evaluate("twoslot._log")]
