"""The UART between its transports, the ROM and the application; the reset circuit, with time made up."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.serial.rom import SYNC_HEAD, DownloadMode
from slotbench.vboard.serial.uart import Reset, Uart
from slotbench.vboard.soc import Soc

SYNC = SYNC_HEAD + b"\x55" * 32 + b"\xc0"
LIMIT_S = 60


class App:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.hangups = 0

    def receive(self, data: bytes) -> None:
        self.heard += data

    def hung_up(self) -> None:
        self.hangups += 1


class Line:
    """A transport that is nothing but its ends."""

    name = "line"

    def __init__(self, *, has_lines: bool) -> None:
        self.has_lines = has_lines
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        pass


class UartBench:
    """A UART whose real seconds are `now`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.app = App()
        self.uart = Uart(lambda: self.now, self.app)
        self.rom = DownloadMode(Soc(NorFlash(0x100000)), self.uart.send)

    def say(self, line: Line, data: bytes) -> Reset | None:
        self.uart.arrived(line, data)
        self.uart.serve()
        return self.uart.take_reset()

    def serve_io(self) -> None:
        """Do what comes within the limit."""
        assert select.select([self.uart], [], [], LIMIT_S)[0], "nothing comes"
        self.uart.serve()


@pytest.fixture
def bench() -> Iterator[UartBench]:
    made = UartBench()
    yield made
    made.uart.close()


@pytest.mark.parametrize("cut", range(1, len(SYNC_HEAD)))
def test_a_flashing_tool_gets_the_rom_however_its_bytes_arrive(bench: UartBench, cut: int) -> None:
    pty = Line(has_lines=False)
    assert bench.say(pty, b"x" + SYNC[:cut]) is None
    assert bench.say(pty, SYNC[cut:]) is Reset.DOWNLOAD
    assert bench.app.heard == b"x" + SYNC[:cut]
    bench.uart.rom = bench.rom
    bench.uart.serve()
    assert pty.sent.count(b"\x01\x08") == 8, "the sync that began it is answered by the ROM"


def test_what_came_while_the_chip_started_is_lost_but_for_the_last_frame(bench: UartBench) -> None:
    pty = Line(has_lines=False)
    assert bench.say(pty, SYNC) is Reset.DOWNLOAD
    for _ in range(30):
        bench.uart.arrived(pty, SYNC)
    bench.uart.rom = bench.rom
    bench.uart.serve()
    assert pty.sent.count(b"\x01\x08") == 8, "esptool gives up behind a hundred stale answers"


def test_a_board_without_power_hears_nothing(bench: UartBench) -> None:
    assert bench.say(Line(has_lines=False), SYNC) is Reset.DOWNLOAD
    bench.uart.drop_input()
    bench.uart.rom = bench.rom
    bench.uart.serve()
    assert bench.uart.take_reset() is None and not bench.rom.stub and bench.app.heard == b""


def test_where_there_are_lines_a_sync_resets_nothing(bench: UartBench) -> None:
    assert bench.say(Line(has_lines=True), SYNC) is None
    assert bench.app.heard == SYNC


def test_other_bytes_are_the_applications(bench: UartBench) -> None:
    data = b"\r\x03\x01" + SYNC_HEAD[:-1] + b"\x21"
    assert bench.say(Line(has_lines=False), data) is None
    assert bench.app.heard == data


def test_output_goes_to_whoever_spoke_last(bench: UartBench) -> None:
    first, second = Line(has_lines=False), Line(has_lines=True)
    bench.uart.send(b"nobody")
    bench.say(first, b"a")
    bench.uart.send(b"1")
    bench.say(second, b"b")
    bench.uart.send(b"2")
    bench.uart.hung_up(first)
    assert bench.app.hangups == 0, "the other one is still there"
    bench.uart.hung_up(second)
    bench.uart.send(b"3")
    assert (first.sent, second.sent, bench.app.hangups) == (b"1", b"2", 1)


@pytest.mark.parametrize(("has_lines", "wanted"), [(False, Reset.RUN), (True, None)])
def test_closing_the_port_leaves_download_mode(bench: UartBench, has_lines: bool, wanted: Reset | None) -> None:
    bench.uart.rom = bench.rom
    line = Line(has_lines=has_lines)
    assert bench.say(line, SYNC) is None
    bench.uart.hung_up(line)
    assert bench.uart.take_reset() is wanted
    assert bench.app.hangups == 0


def test_typing_leaves_download_mode_and_is_not_lost(bench: UartBench) -> None:
    bench.uart.rom = bench.rom
    assert bench.say(Line(has_lines=True), b"noise") is None
    assert bench.say(Line(has_lines=False), b"\r\x03") is Reset.RUN
    bench.uart.rom = None
    bench.uart.serve()
    assert bench.app.heard == b"\r\x03"


def test_asserting_both_lines_does_nothing(bench: UartBench) -> None:
    bench.uart.lines(dtr=True, rts=True)
    bench.uart.lines(dtr=False, rts=False)
    bench.uart.serve()
    assert bench.uart.take_reset() is None


@pytest.mark.parametrize("late_s", [0.0, 0.05, 0.24])
def test_the_sequence_of_esptool_ends_in_download_mode(bench: UartBench, late_s: float) -> None:
    bench.uart.lines(dtr=False, rts=True)
    assert bench.uart.take_reset() is Reset.HOLD
    bench.uart.lines(dtr=True, rts=True)
    assert bench.uart.wait_s(None) == pytest.approx(0.25)
    bench.now += late_s
    bench.uart.serve()
    assert bench.uart.take_reset() is None, "still waiting for GPIO0"
    bench.uart.lines(dtr=True, rts=False)
    assert bench.uart.take_reset() is Reset.DOWNLOAD
    bench.uart.lines(dtr=False, rts=False)
    assert (bench.uart.take_reset(), bench.uart.wait_s(7.0)) == (None, 7.0)


def test_a_reset_alone_ends_in_the_application(bench: UartBench) -> None:
    bench.uart.lines(dtr=False, rts=True)
    bench.uart.lines(dtr=False, rts=False)
    assert bench.uart.take_reset() is Reset.HOLD
    bench.now += 0.26
    assert bench.uart.wait_s(None) == 0
    bench.uart.serve()
    assert bench.uart.take_reset() is Reset.RUN
    bench.uart.lines(dtr=True, rts=False)
    bench.uart.serve()
    assert bench.uart.take_reset() is None, "GPIO0 low later on is no reset"


def test_a_pty_outlives_its_clients(bench: UartBench, tmp_path: Path) -> None:
    link = tmp_path / "tty"
    bench.uart.open_pty(link)
    for round_ in range(3):
        client = os.open(link, os.O_RDWR | os.O_NOCTTY)
        os.write(client, b"\r\n\xff\x03")
        bench.serve_io()
        assert bench.app.heard == b"\r\n\xff\x03", "raw: nothing is translated, nothing echoed"
        bench.uart.send(b"lamp\n\xff")
        assert os.read(client, 100) == b"lamp\n\xff"
        bench.uart.send(b"never read")
        os.close(client)
        bench.serve_io()
        assert bench.app.hangups == round_ + 1
        assert not select.select([bench.uart], [], [], 0)[0], "a hangup is said once"
        bench.app.heard = b""
    bench.uart.send(b"into the void")
    client = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        os.read(client, 100)
    os.close(client)
    bench.uart.close()
    assert not link.is_symlink()
    bench.uart = Uart(lambda: 0.0)


def test_a_megabyte_for_a_slow_client_is_kept_back(bench: UartBench, tmp_path: Path) -> None:
    bench.uart.open_pty(tmp_path / "tty")
    client = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY)
    os.write(client, b"x")
    bench.serve_io()
    data = bytes(range(256)) * 1024
    bench.uart.send(data)
    got = b""
    while len(got) < len(data):
        ready = select.select([client, bench.uart], [], [], LIMIT_S)[0]
        assert ready, f"stuck after {len(got)} bytes"
        if client in ready:
            got += os.read(client, 65536)
        if bench.uart in ready:
            bench.uart.serve()
    assert got == data
    os.close(client)


def test_a_stale_link_is_replaced_and_a_file_is_not(bench: UartBench, tmp_path: Path) -> None:
    link = tmp_path / "tty"
    link.symlink_to("/dev/pts/nowhere")
    bench.uart.open_pty(link)
    assert link.exists()
    other = tmp_path / "notes"
    other.write_text("mine")
    with pytest.raises(BenchError, match="the path exists and is no symbolic link"):
        bench.uart.open_pty(other)
    assert other.read_text() == "mine"


def test_tcp_takes_one_client_at_a_time(bench: UartBench) -> None:
    bench.uart.open_tcp(0)
    port = int(bench.uart.transports[0].name.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as first:
        first.sendall(b"a")
        while not bench.app.heard:
            bench.serve_io()
        with socket.create_connection(("127.0.0.1", port), LIMIT_S) as second:
            bench.serve_io()
            assert second.recv(1) == b""
        bench.uart.send(b"1")
        assert first.recv(1) == b"1"
    bench.serve_io()
    assert bench.app.hangups == 1
    with pytest.raises(BenchError, match="cannot listen"):
        bench.uart.open_tcp(port)
