"""Pins and parts of a board that runs: what `board pin`, `board adc` and `board part` ask of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.live.wiring import EXAMPLE, FILE, load_wiring
from support.chip.bench import ChipBench, any_micropython, need_slirp, plain_folder

PROMPT = ">>> "
COUNTER = """
class Counter(Part):
    count = 0
    def pin_changed(self, pin, level):
        self.count += level == 1
    def state(self):
        return str(self.count)
PARTS.append(Counter("counter", 15))
JUMPERS.append((15, 2))
"""


def test_people_press_read_and_set(core: Path, tmp_path: Path) -> None:
    need_slirp()
    folder = plain_folder(tmp_path / "lamp1", any_micropython())
    (folder.path / FILE).write_text(EXAMPLE.replace("Relay\n", "Part, Relay\n") + COUNTER)
    with ChipBench(folder) as bench:
        bench.until_shown(PROMPT)

        def typed(line: str) -> str:
            return bench.request_facts(command="repl", line=f"import machine, dht; {line}")[0].strip()

        def part(name: str, **values: str) -> str:
            return str(bench.request_facts(command="part", name=name, values=values)[1]["parts"][0]["state"])

        bench.request_facts(command="pin", pin=2, level="low")
        assert typed("print(machine.Pin(2).value())") == "0"
        bench.request_facts(command="pin", pin=2, level="float")
        bench.request_facts(command="adc", volts=0.4)
        assert typed("print(machine.ADC(0).read())") == "410"

        typed("machine.Pin(5, machine.Pin.OUT, value=1)")
        assert part("lamp") == "on, switched 1 times"
        (pin,) = bench.request_facts(command="pin", pin=5)[1]["pins"]
        assert (pin["level"], pin["driven"], pin["edges"]) == (1, True, 0), "its pull-up had it high before"
        assert len(bench.request_facts(command="pin")[1]["pins"]) == 17

        part("room", temperature="-12.5")
        assert typed("room = dht.DHT22(machine.Pin(4)); room.measure(); print(room.temperature())") == "-12.5"
        part("key", pressed="yes")
        assert typed("print(machine.Pin(0).value())") == "0"
        typed("p = machine.Pin(15, machine.Pin.OUT); p(0); p(1); p(0); p(1)")
        assert part("counter") == "2" and typed("print(machine.Pin(2).value())") == "1", "the jumper"

        assert [found["name"] for found in bench.request_facts(command="part")[1]["parts"]] == [
            "lamp", "key", "room", "tank", "screen", "counter"]
        for wrong, words in (
                ({"command": "part", "name": "oven"}, "no part is called"),
                ({"command": "part", "name": "room", "values": {"wind": "1"}}, "has no value 'wind'"),
                ({"command": "part", "name": "room", "values": {"humidity": "wet"}}, "is no value of humidity"),
                ({"command": "adc", "volts": 3.3}, "cannot be at A0"), ({"command": "pin", "pin": 17}, "no GPIO")):
            with pytest.raises(BenchError, match=words):
                bench.request_facts(**wrong)


def test_the_wiring_of_a_board_from_elsewhere_is_not_run(tmp_path: Path) -> None:
    assert not load_wiring(tmp_path, is_own=False).parts
    (tmp_path / FILE).write_text("PARTS = [1]\n")
    with pytest.raises(BenchError, match="a program that could do all"):
        load_wiring(tmp_path, is_own=False)
    with pytest.raises(BenchError, match="1 in PARTS is no part"):
        load_wiring(tmp_path, is_own=True)
    (tmp_path / FILE).write_text("PARTS = [\n")
    with pytest.raises(BenchError, match="SyntaxError"):
        load_wiring(tmp_path, is_own=True)
