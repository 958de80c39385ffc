"""`slotbench demo --attacks`: each attack must be refused, and for the right reason."""

from __future__ import annotations

import functools
import hashlib
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import Any

from slotbench import boards
from slotbench.demo.attackers import AFTER, BEFORE, CURED, FAST_FORWARD, FLOOD, Attack
from slotbench.demo.broker import FloodingBroker
from slotbench.demo.lan_attacker import LanAttacker
from slotbench.demo.screen import DemoScreen
from slotbench.errors import BenchError
from slotbench.flashing.plan import Firmware, factory_writes
from slotbench.formats.codes import explain
from slotbench.formats.document import split_document
from slotbench.push.client import PORT
from slotbench.release import store
from slotbench.release.identities import Identities
from slotbench.release.keys import SigningKey
from slotbench.release.publisher import Publisher
from slotbench.server import BackgroundServer, BoardAuthenticator, create_app
from slotbench.vboard import firmware
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.factory import MAIN, board_files, factory_flash
from slotbench.vboard.frozen import stock
from slotbench.vboard.loader.model import LoaderModel
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.vm import CPythonVM, DeviceVM

__all__ = ["AttackDemo"]

PRODUCT = "lamp"
_RUNNING, _OFFERED, _CURE = 2, 3, 4
_NAME, _CHIP = "lamp-1", "4a7e1c00"
_KNOWN_HEAD = "/twoslot.etag"  # of twoslot itself, as the journal is
_STRANGER = "stranger.example"
_ASSOCIATES_MS = 10_000
_INTERVAL_S = 600
_FLOOD_MS = 4 * 60_000
_POLLS_MAX = 4
_WEEK_S = 604_800
_ACCEPT_WAIT_S = 30.0
"""Real time for a visitor to connect while the board listens for a virtual minute."""


@dataclass(frozen=True, slots=True)
class AttackOutcome:
    """One row of the table. `codes` are all codes that the board logged."""

    attack: Attack
    did: str
    codes: tuple[int, ...]
    unharmed: bool

    @property
    def ok(self) -> bool:
        """Whether the attack was refused for the expected reason alone, and left the board
        unharmed.
        """
        return self.unharmed and set(self.codes) == {self.attack.code}

    @property
    def row(self) -> tuple[str, ...]:
        """The columns of the row."""
        known = map(explain, dict.fromkeys(self.codes))
        told = "; ".join(f"{entry.code} {entry.word}: {entry.meaning}" for entry in known)
        return self.attack.name, self.attack.who, self.did, told or "nothing", "ok" if self.ok else "NO"


class AttackDemo:
    """One board, one real server, and attackers between them.

    The arguments are those of UpdateDemo. `play` raises BenchError (exit code 1) unless each attack
    was refused for the right reason and the board installed the genuine release in the end.
    """

    def __init__(
        self, screen: DemoScreen, folder: Path, now: int, *, board: str = "d1_mini", size: int, seed: int = 0,
        vm: Callable[..., DeviceVM] = CPythonVM,
        loader: type[LoaderModel] | type[LoaderMachine] = LoaderModel,
    ) -> None:
        self.screen = screen
        self.now = now
        self.profile = boards.load(board)
        self.publisher = Publisher(folder, PRODUCT, now)
        self.stolen = self.publisher.online
        self.stranger = SigningKey.generate()
        self.lan_attacker = LanAttacker()
        self.secret = b""
        self.images: dict[int, bytes] = {}
        self.loopback = LoopbackNetwork(hosts={_STRANGER: "127.0.0.1"})
        self.network = FaultyNetwork(self.loopback)
        self.outcomes: list[AttackOutcome] = []
        self._releases: dict[int, bytes] = {}
        self._files: dict[str, bytes | None] = {}
        self._size = size
        self._true: dict[str, bytes | None] = {}
        self._make, self._seed = (vm, loader), seed
        first = self._build(_RUNNING, size)
        plan = Firmware(data=first[0], product=PRODUCT, version=f"{_RUNNING}.0.0", counter=_RUNNING)
        self.flash = factory_flash(
            self.profile, [(write.offset, write.data) for write in factory_writes(self.profile, plan)],
            seed=seed)
        for counter in (1, _RUNNING, _OFFERED):
            self._publish(counter, self._build(counter, size))
        self.board: VirtualBoard

    def play(self) -> list[AttackOutcome]:
        """Play all attacks, update the board, and print the table."""
        identities = Identities({}).with_board(_NAME, _CHIP, None)
        self.secret = identities.secrets[_NAME]
        identities.save(self.publisher.folder / "boards.json")
        boards = BoardAuthenticator(self.publisher.folder / "boards.json", require=True)
        with BackgroundServer(create_app(self.publisher.site.root, boards)) as server:
            self._address = server.host, server.port
            self._set_up(server.url, identities)
            for attack in BEFORE:
                self._try(attack)
            self._update_to(_OFFERED)
            for attack in AFTER:
                self._try(attack)
            self._fast_forward_and_cure()
            for attack in CURED:
                self._try(attack)
            self._flood(server.url)
        self._table()
        return self.outcomes

    # What an attack can use (slotbench.demo.attackers.AttackSurface).

    def intercept(self, **fault: Any) -> None:
        """Tamper with responses on their way to the board: the fields of a NetworkFault."""
        self.network.inject(**fault)

    def replace_file(self, name: str, content: bytes) -> None:
        """Replace a file on the server, as long as the attack lasts."""
        self._true.setdefault(name, self.publisher.site.read(name))
        self.publisher.site.write(name, content)

    def set_clock(self, unix_s: int) -> None:
        """Set the board's clock, as from NTP."""
        at = datetime.fromtimestamp(unix_s, UTC)
        moment = at.year, at.month, at.day, at.weekday(), at.hour, at.minute, at.second, 0
        self.board.run_line(f"import machine; machine.RTC().datetime({moment})")

    def published_file(self, name: str) -> bytes:
        """A file as the publisher published it."""
        content = self._true[name] if name in self._true else self.publisher.site.read(name)
        assert content is not None
        return content

    def release(self, counter: int) -> bytes:
        """The document of a release."""
        return self._releases[counter]

    @property
    def overheard(self) -> bytes:
        """The last request of the board that carried a MAC, as it was sent."""
        heads = [request.sent for request in self.network.requests if b"mac=" in request.sent]
        return heads[-1] + b"\r\n\r\n"

    @property
    def stranger_url(self) -> str:
        """Where a stranger has a server of his own."""
        return f"http://{_STRANGER}:{self._address[1]}/"

    def board_file(self, name: str) -> bytes:
        """A file on the board."""
        return self.board.files[name]

    def type_line(self, line: str) -> None:
        """Have a person type a line before the attack. What the board logs of it does not count."""
        self.board.run_line(line)
        self.board.run_line("twoslot._log.clear()")

    def put_board_file(self, name: str, content: bytes) -> None:
        """Put a file on the board, as long as the attack lasts."""
        self._files.setdefault(name, self.board.files.get(name))
        self.board.files[name] = content

    def send_to_server(self, request: bytes) -> int:
        """Send these bytes to the server; returns the status of its response."""
        with socket.create_connection(self._address, 5) as connection:
            connection.sendall(request)
            return int(connection.recv(4096).split(b" ", 2)[1])

    def visit_push_port(self, visit: Callable[[tuple[str, int]], None]) -> None:
        """Have the board listen for a minute, and call `visit` with the address of its port
        meanwhile.
        """
        place = self.loopback.place(PORT)

        def call() -> None:
            try:
                visit(place)
            finally:
                self.loopback.accept_wait_s = 0.0  # nobody else comes

        visitor = Thread(target=call, name="visitor")
        self.loopback.accept_wait_s = _ACCEPT_WAIT_S
        visitor.start()
        self.board.run_line("twoslot.listen(1)")
        visitor.join()

    # The course of events.

    def _set_up(self, url: str, identities: Identities) -> None:
        vm, loader = self._make
        files = board_files(self._settings(url), self.publisher.keys_path.read_bytes(), main="")
        files["/twoslot.secret"] = identities.secret_file(_NAME)
        self.board = VirtualBoard(
            self.profile, self.flash, self.network, files, seed=self._seed, vm=vm, loader=loader)
        self.board.power_on()
        self.board.run(_ASSOCIATES_MS)
        self.screen.print_line(f"A virtual ESP8266 ({self.profile.title}) and a real HTTP server at {url}.")
        self.screen.print_line("No hardware is involved: flash, radio and CPU are modelled.")
        self.screen.print_line(f"The board runs release {_RUNNING}; {_OFFERED} is offered to it.")
        self.screen.print_line()

    def _try(self, attack: Attack) -> None:
        """Play one attack while a person at the board types a line."""
        before, boots = self._kept(), len(self.board.boots)
        asked, operations = len(self.network.requests), self.flash.operations
        self.board.run_line("twoslot._log.clear()")
        attack.begin(self)
        self.board.run_line(attack.line)
        codes = tuple(code for _, code, _ in self.board.evaluate("twoslot._log"))
        requests = self.network.requests[asked:]
        took = sum(request.received for request in requests)
        betrayed = any(_STRANGER.encode() in it.sent and b"Authorization" in it.sent for it in requests)
        if attack.tell is not None:
            codes = tuple(attack.tell(self))
        self._end_attack()
        unharmed = self._kept() == before and len(self.board.boots) == boots and not betrayed
        did = self._did(took, operations) if attack.tell is None else "was not asked: the server was"
        self.outcomes.append(AttackOutcome(attack, did, codes, unharmed))
        self.screen.print_event(self.board.clock.ms, f"{attack.name}: {self.outcomes[-1].row[3]}")

    def _did(self, took: int, operations: int) -> str:
        """What the board did, from the log of its flash."""
        spare = self.profile.slots[1 - self._slot()].image
        erased = (op for op in self.flash.log or () if op.index >= operations and op.kind == "erase")
        blocks = sum(op.addr in spare for op in erased)
        return f"took {took:,} bytes, " + (f"wrote {blocks} blocks aside" if blocks else "wrote no block")

    def _end_attack(self) -> None:
        self.network.clear_faults()
        for name, content in self._true.items():
            if content is not None:
                self.publisher.site.write(name, content)
            else:
                self.publisher.site.path(name).unlink()
        for name, content in self._files.items():
            self.board.files.pop(name)
            if content is not None:
                self.board.files[name] = content
        self._true.clear()
        self._files.clear()
        self.set_clock(self.now)

    def _update_to(self, counter: int) -> None:
        """Without an attack the genuine release is installed and confirmed."""
        self.board.run_line("twoslot.update()")
        self.board.run(_ASSOCIATES_MS)
        self.board.run_line("twoslot.check()")
        self._expect(self._runs(counter), f"release {counter} runs")
        self._expect(self.board.evaluate("twoslot.status()['confirmed']"), f"release {counter} is confirmed")
        self.screen.print_event(
            self.board.clock.ms, f"without an attacker: release {counter} is installed and confirmed")

    def _fast_forward_and_cure(self) -> None:
        """Play the one attack that lasts, until the publisher makes new keys with the offline key.
        """
        self._try(FAST_FORWARD)
        self._publish(_CURE, self._build(_CURE, self._size))
        said = self.board.run_line("twoslot.update()")
        self._expect("refused: 35 " in said, "the owner's heads are too old after the thief's")
        self.screen.print_event(
            self.board.clock.ms,
            "the owner's own heads are refused now (35 old-head); the running release stays")
        self.publisher.rotate(self.now, online=SigningKey.generate())
        self._publish(_CURE, self._build(_CURE, self._size))
        # The lines typed so far occupy the board's heap.
        self.board.press_reset()
        self.board.run(_ASSOCIATES_MS)
        self._update_to(_CURE)

    def _flood(self, url: str) -> None:
        """Flood a copy of the board, with an MQTT broker in its settings, with hints for four
        minutes.
        """
        with FloodingBroker(f"twoslot/{PRODUCT}/stable") as broker:
            settings = self._settings(url) | {"mqtt": broker.address, "interval_s": _WEEK_S}
            changed = {"/twoslot.json": json.dumps(settings).encode(), "/main.py": MAIN.encode()}
            network, (vm, loader) = LoopbackNetwork(), self._make
            twin = VirtualBoard(
                self.profile, self.flash.clone(), network, self.board.files | changed, seed=self._seed,
                vm=functools.partial(vm, frozen=stock()), loader=loader)
            twin.power_on()
            twin.run(_FLOOD_MS)
            heads = [request for request in network.requests if request.path.startswith("/heads/")]
            polls = sum(request.status != HTTPStatus.UNAUTHORIZED for request in heads)
            codes = tuple(code for _, code, _ in twin.evaluate("twoslot._log"))
            unharmed = len(twin.boots) == 1 and polls <= _POLLS_MAX
            twin.power_off()
        did = f"was sent {broker.sent:,} numbers, checked {polls} times"
        self.outcomes.append(AttackOutcome(FLOOD, did, codes, unharmed))
        self.screen.print_event(self.board.clock.ms, f"{FLOOD.name}: {did}")

    def _table(self) -> None:
        self.screen.print_line()
        head = ("attack", "who", "what the board did", "what it said", "")
        self.screen.print_table(head, [outcome.row for outcome in self.outcomes], left=len(head))
        self.screen.print_line()
        wrong = [outcome.attack.name for outcome in self.outcomes if not outcome.ok]
        self._expect(not wrong, f"not refused for the right reason: {', '.join(wrong)}")
        self.screen.print_line(
            f"{len(self.outcomes)} attacks, each refused for the right reason; "
            "the board runs the true release.")

    # Helpers.

    def _build(self, counter: int, size: int) -> Sequence[bytes]:
        return firmware.for_board(self.profile, f"{counter}.0.0", size=size, seed=self._seed)

    def _publish(self, counter: int, images: Sequence[bytes]) -> None:
        head = self.publisher.publish(
            images, [self.profile], version=f"{counter}.0.0", counter=counter, now=self.now,
            floor=counter if counter == _OFFERED else 0)
        release = self.publisher.site.read(store.release_name(head.release))
        assert release is not None and split_document(release).digest == head.release
        self._releases[counter] = release
        self.images[counter] = images[-1]

    def _settings(self, url: str) -> dict[str, object]:
        return {
            "product": PRODUCT, "board": self.profile.name, "channel": "stable", "server": url,
            "interval_s": _INTERVAL_S, "device_id": _NAME}

    def _kept(self) -> str:
        """A digest of the running image and of the user's files.

        Where littlefs has the files in flash, these count, and not the blocks that it wrote them to.
        """
        slot = self.profile.slots[self._slot()]
        regions = [slot.image, slot.descriptor, self.profile.loader]
        if self.board.soc.filesystem is None:
            regions.append(self.profile.filesystem)
        if not self.profile.in_place:
            regions.append(self.profile.window)
        files = [(name, data) for name, data in sorted(self.board.files.items()) if name != _KNOWN_HEAD]
        kept = hashlib.sha256(repr(files).encode())
        for region in regions:
            kept.update(self.flash.peek(region.start, region.size))
        return kept.hexdigest()

    def _slot(self) -> int:
        assert self.board.result is not None
        return self.board.result.slot

    def _runs(self, counter: int) -> bool:
        result = self.board.result
        return self.board.state is BoardState.RUNNING and result is not None and result.counter == counter

    def _expect(self, so: object, what: str) -> None:
        if not so:
            raise BenchError(f"the demo expected: {what}", cure="report it")
