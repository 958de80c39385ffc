"""The programs of host/examples/ work on the emulated chip, are updated over the air while they do, and go on."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.parts import DHT22, DS18B20, SSD1306, Button, NeoPixels, Part, Relay
from slotbench.prove.chip.bed import NOW, ChipBed, RunningChip, is_confirmed
from slotbench.prove.programs.server import ProgramServer
from support.chip.bench import need_slirp, recent_micropython
from support.chip.interrupted import leave_missing

EXAMPLES = Path(__file__).parents[2] / "host" / "examples"
ALL = os.environ.get("TWOSLOT_EXAMPLES") == "all"
"""Each takes some ten seconds of CPU: one runs always, the others when this is asked for."""
ALWAYS = ("mqtt_relay",)
MISSING_EVERY = 16
"""The other blocks are in the slot already: that makes an update short."""
LIMIT_S = 900
MORE = 3
"""So much work has to be seen before the update, in it, and after it."""


@dataclass
class ExampleBench:
    """What an example has around it. `work` counts what it has done, as the bench sees it."""

    running: RunningChip
    server: ProgramServer
    pages: int = 0
    presses_us: int = 0

    def attach(self, *parts: Part) -> None:
        for part in parts:
            self.running.board.machine.pins.attach(part)

    def part(self, name: str) -> Part:
        return self.running.board.machine.pins.parts[name]

    def switched(self) -> int:
        lamp = self.part("lamp")
        assert isinstance(lamp, Relay)
        return lamp.switched

    def press_now_and_then(self) -> int:
        key, us = self.part("key"), self.running.board.us
        assert isinstance(key, Button)
        if us >= self.presses_us:
            self.presses_us = us + 700_000
            key.press(100)
        return self.switched()


class CountedStrip(NeoPixels):
    """Counts the colours that it is sent."""

    frames = 0

    def pin_changed(self, pin: int, level: int | None) -> None:
        super().pin_changed(pin, level)
        self.frames += len(self._bits) == 12 * 24 and level != 1


class CountedScreen(SSD1306):
    """Counts its pictures."""

    frames = 0

    def _obey(self, command: int, *parameters: int) -> None:
        super()._obey(command, *parameters)
        self.frames += command == 0x22


@dataclass(frozen=True)
class Example:
    """Its parts, and how much it has done; with `page` somebody on this machine opens it again and again."""

    parts: Callable[[], list[Part]]
    work: Callable[[ExampleBench], int]
    page: bool = False


def lamp() -> list[Part]:
    return [Relay("lamp", 5)]


CASES = {
    "button_interrupt": Example(lambda: [Relay("lamp", 5), Button("key", 0)], ExampleBench.press_now_and_then),
    "watchdog_blink": Example(lamp, ExampleBench.switched),
    "mqtt_relay": Example(lamp, ExampleBench.switched),
    "dht_logger": Example(lambda: [DHT22("room", 4)], lambda bench: bench.server.served),
    "ntp_clock": Example(lambda: [CountedStrip("strip", 2)], lambda bench: bench.part("strip").frames),  # type: ignore[attr-defined]
    "web_lamp": Example(lamp, lambda bench: bench.pages, page=True),
    "asyncio_server": Example(lamp, lambda bench: bench.pages, page=True),
    "display": Example(
        lambda: [CountedScreen("screen", scl=5, sda=4, height=32)], lambda bench: bench.part("screen").frames),  # type: ignore[attr-defined]
    "webrepl_lamp": Example(lamp, ExampleBench.switched),
    "thermometer": Example(
        lambda: [Relay("lamp", 5), DS18B20("tank", 12, temperature=18)], lambda bench: thermostat(bench)),
}


def thermostat(bench: ExampleBench) -> int:
    """The water is warm while the heater was on, and cold after that: each turn switches it."""
    tank, heater = bench.part("tank"), bench.part("lamp")
    assert isinstance(tank, DS18B20) and isinstance(heater, Relay)
    tank.temperature = 25 if heater.on else 15
    return heater.switched


@contextmanager
def browser(bench: ExampleBench, wanted: bool) -> Iterator[None]:
    """Somebody who opens the board's page again and again."""
    if not wanted:
        yield
        return
    port, over = bench.running.wire.forward(80), threading.Event()

    def browse() -> None:
        while not over.wait(0.05):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/on", timeout=5) as answer:
                    answer.read()
                bench.pages += 1
            except OSError:
                pass
            except Exception as error:  # the asyncio example speaks no HTTP
                bench.pages += "up for" in str(error)

    thread = threading.Thread(target=browse)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(120)


def test_each_example_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == CASES.keys() and len(CASES) == 10


@pytest.mark.parametrize("name", sorted(CASES) if ALL else ALWAYS)
def test_it_works_is_updated_and_goes_on(core: Path, tmp_path: Path, name: str) -> None:
    need_slirp()
    image, example = recent_micropython()[0], CASES[name]
    with ChipBed(tmp_path, boards.load("d1_mini"), image) as bed, ProgramServer() as server:
        source = (EXAMPLES / f"{name}.py").read_text()
        source = source.replace(":8080", f":{server.port}").replace("1883", str(server.port))
        bed.publish(image, 2, "again")
        flash = bed.flash()
        bed.put_files(flash, bed.files(source))
        leave_missing(bed, flash, MISSING_EVERY)
        with bed.running(flash) as running:
            running.wire.services.set_time(NOW + 60)
            bench = ExampleBench(running, server)
            bench.attach(*example.parts())
            running.board.power_on()
            with browser(bench, example.page):

                def until(done: Callable[[int], bool]) -> int:
                    """Let it work until then; what it has done."""
                    work = 0

                    def reached() -> bool:
                        nonlocal work
                        work = example.work(bench)
                        return done(work)

                    assert running.run_until(reached, LIMIT_S), (work, running.console.last_lines(15))
                    return work

                until(lambda work: is_confirmed(bed, flash, 2))
                at_trial = example.work(bench)
                assert at_trial >= MORE, running.console.last_lines(15)
                until(lambda work: work >= at_trial + MORE)
            assert "Traceback" not in running.console.text, running.console.last_lines(15)
