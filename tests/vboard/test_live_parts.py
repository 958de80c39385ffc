"""What a live board is made of: the paced clock, the control socket, the folder."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.control_socket import ControlRequest, ControlSocket, request_facts
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.paced_clock import PacedClock
from support.live.bench import ID, make_folder

# the clock


class Pace:
    """A paced clock and its real time; `slow` seconds pass on their own before each check."""

    def __init__(self, speed: float | None = 1.0) -> None:
        self.real = 100.0
        self.served: list[float] = []
        self.clock = PacedClock(speed, lambda: self.real, self.serve)
        self.wakes_after: float | None = None

    def serve(self, seconds: float) -> None:
        self.served.append(seconds)
        if self.wakes_after is not None and seconds > self.wakes_after:
            self.real += self.wakes_after
            self.clock.come_to()
            raise KeyboardInterrupt
        self.real += seconds


@pytest.mark.parametrize("speed", [0.25, 1, 50])
def test_sleeping_takes_real_time(speed: float) -> None:
    pace = Pace(speed)
    pace.clock.sleep_until(3_000_000)
    assert pace.clock.us == 3_000_000
    assert pace.real - 100 == pytest.approx(3 / speed)


def test_what_was_computed_is_made_good_in_the_next_sleep() -> None:
    pace = Pace()
    pace.clock.advance_ms(400)
    assert pace.real == 100
    pace.clock.sleep_until(1_000_000)
    assert pace.real == pytest.approx(101)
    pace.real += 0.3
    pace.clock.sleep_until(2_000_000)
    assert pace.real == pytest.approx(102)
    pace.clock.advance_ms(500)
    pace.clock.sleep_until(2_000_000)
    assert pace.real == pytest.approx(102.5), "also when that led past the end of the sleep"
    assert pace.clock.us == 2_500_000


def test_a_bench_that_was_late_starts_over_from_there() -> None:
    """A machine that slept for an hour does not let the board race through it."""
    pace = Pace()
    pace.real += 3600
    pace.clock.sleep_until(5_000_000)
    assert pace.real == pytest.approx(100 + 3600 + 5)


def test_a_sleep_that_is_broken_off_shows_how_far_it_got() -> None:
    pace = Pace()
    pace.wakes_after = 7.0
    with pytest.raises(KeyboardInterrupt):
        pace.clock.sleep_until(60_000_000)
    assert pace.clock.us == pytest.approx(7_000_000)
    pace.real += 0.5
    pace.clock.come_to()
    assert pace.clock.us == pytest.approx(7_000_000), "and outside of a sleep nothing moves it"


def test_at_full_speed_others_have_a_turn_every_second() -> None:
    pace = Pace(None)
    pace.clock.sleep_until(1 << 60)
    assert pace.clock.us == 1_000_000
    for _ in range(1000):
        pace.clock.sleep_until(pace.clock.us + 20)
    assert pace.served == [0], "but not before twenty microseconds of each wait"
    for _ in range(5000):
        pace.clock.sleep_until(pace.clock.us + 20)
    assert pace.served == [0, 0, 0] and pace.real == 100


def test_no_wait_is_longer_than_select_takes() -> None:
    pace = Pace()
    pace.wakes_after = 3599.0
    with pytest.raises(KeyboardInterrupt):
        pace.clock.sleep_until(10**18)
    assert max(pace.served) == 3600


def test_a_clock_without_pace_goes_all_the_way() -> None:
    clock = Clock(5)
    clock.sleep_until(9)
    clock.sleep_until(3)
    assert clock.us == 9


# the control socket


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlSocket]:
    with ControlSocket(tmp_path / "control.sock") as control:
        yield control


def connect(control: ControlSocket, *pieces: bytes) -> socket.socket:
    person = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    person.connect(str(control.path))
    for piece in pieces:
        person.sendall(piece)
    return person


def next_request(control: ControlSocket) -> ControlRequest | None:
    for _ in range(4):
        if (request := control.poll(0)) is not None:
            return request
    return None


def lines_of(person: socket.socket) -> list[dict[str, object]]:
    with person, person.makefile("rb") as lines:
        return [json.loads(line) for line in lines]


def test_a_request_and_its_answer(control: ControlSocket) -> None:
    person = connect(control, b'{"command": ', b'"repl", "line": "1"}\n')
    request = next_request(control)
    assert request is not None and request.fields == {"command": "repl", "line": "1"}
    request.send_text("one\n")
    request.complete({"slot": "A"})
    assert lines_of(person) == [{"text": "one\n"}, {"facts": {"slot": "A"}}]
    assert control.poll(0) is None


def test_requests_wait_for_each_other(control: ControlSocket) -> None:
    people = [connect(control, b'{"command": "%d"}\n' % number) for number in range(3)]
    requests = [next_request(control) for _ in people]
    assert sorted(str(request.fields["command"]) for request in requests if request) == ["0", "1", "2"]
    for request in requests:
        assert request is not None
        request.refuse(BenchError("no", where="here", cure="wait", exit_code=2))
    error = {"error": {"what": "no", "where": "here", "cure": "wait", "exit_code": 2}}
    assert [lines_of(person) for person in people] == [[error]] * 3


def test_half_a_request_is_waited_for(control: ControlSocket) -> None:
    person = connect(control, b'{"command": "sta')
    assert next_request(control) is None
    person.sendall(b'tus"}\n')
    request = next_request(control)
    assert request is not None and request.fields["command"] == "status"
    request.complete()
    person.close()


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\n", b"[1]\n", b"{\n", b"\xff\n", b"x" * 70_000])
def test_what_is_no_request_is_refused(control: ControlSocket, text: bytes) -> None:
    person = connect(control, text)
    assert next_request(control) is None
    (answer,) = lines_of(person)
    assert "not a request" in str(answer)


def test_clients_that_disconnect(control: ControlSocket) -> None:
    connect(control).close()
    connect(control, b'{"command"').close()
    assert next_request(control) is None
    person = connect(control, b'{"command": "repl"}\n')
    request = next_request(control)
    assert request is not None and not request.gone
    request.send_text("what is never read")
    person.close()
    control.poll(0)
    assert request.gone
    request.send_text("to nobody")
    request.complete()


def test_a_client_that_does_not_read_blocks_nobody(
    control: ControlSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slotbench.vboard.live.control_socket._SEND_S", 0.01)
    person = connect(control, b'{"command": "repl"}\n')
    request = next_request(control)
    assert request is not None
    request.send_text("x" * 10_000_000)
    assert request.gone
    person.close()


def test_only_the_user_may_connect(control: ControlSocket) -> None:
    assert control.path.stat().st_mode & 0o777 == 0o600


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    with pytest.raises(BenchError, match="no board runs there"):
        request_facts(path, {"command": "status"})
    with ControlSocket(path) as control:
        connect(control).close()
    assert not path.exists()


def test_a_wake_up_ends_a_wait(tmp_path: Path) -> None:
    wake, woken = socket.socketpair()
    with wake, woken, ControlSocket(tmp_path / "control.sock", woken.fileno()) as control:
        wake.send(b"\0")
        assert control.poll(None) is None


def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("longer" * 10)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    assert len(os.fsencode(path)) > 108
    with ControlSocket(path) as control:
        assert path.is_socket()
        assert next_request(control) is None
    assert not path.exists()
    with pytest.raises(BenchError, match="no board runs there"):
        request_facts(path, {"command": "status"})


def test_nowhere_to_listen(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as refused:
        ControlSocket(tmp_path / "missing" / "control.sock")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("answer", [b"", b'{"text": "..."}\n'])
def test_a_board_whose_process_dies(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "control.sock"
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def die() -> None:
            with listener.accept()[0] as board:
                board.recv(1000)
                board.sendall(answer)

        thread = threading.Thread(target=die)
        thread.start()
        with pytest.raises(BenchError, match="ended before it answered"):
            request_facts(path, {"command": "status"}, heard.append)
        thread.join()
    assert heard == (["..."] if answer else [])


# the folder


@pytest.fixture
def folder(tmp_path: Path) -> BoardFolder:
    return make_folder(tmp_path / "lamp1")


def test_a_folder_is_found_again(folder: BoardFolder) -> None:
    again = BoardFolder.open(folder.path)
    assert again == folder and again.unique_id == ID and again.profile.name == "generic_4m"
    assert folder.load_flash(Clock()).size == 4 << 20
    files = folder.load_files()
    assert "/twoslot/agent.py" in files and files["/boot.py"] == b"__import__(\"twoslot_boot\")  # twoslot\n"
    assert sorted(path.name for path in folder.path.iterdir()) == ["board.json", "files", "flash.bin"]


def test_two_boards_are_not_the_same_board(tmp_path: Path) -> None:
    made = [BoardFolder.create(tmp_path / name, "generic_4m", NorFlash(4 << 20), {}) for name in "ab"]
    assert made[0].unique_id != made[1].unique_id and len(made[0].unique_id) == 4


def test_an_empty_folder_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "lamp1").mkdir()
    make_folder(tmp_path / "lamp1")


def test_nothing_is_overwritten(folder: BoardFolder) -> None:
    for path in (folder.path, folder.flash_path):
        with pytest.raises(BenchError, match="the folder exists already") as refused:
            BoardFolder.create(path, "generic_4m", NorFlash(4 << 20), {})
        assert refused.value.exit_code == 2


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot write"):
        make_folder(tmp_path / "file" / "lamp1")
    with pytest.raises(BenchError, match="made a file called"):
        BoardFolder.create(tmp_path / "lamp2", "generic_4m", NorFlash(4 << 20), {"/../outside": b""})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no board here (No such file or directory)"),
        ("{", "board.json cannot be read"),
        ('{"format": 1}', "board.json cannot be read"),
        ("[]", "board.json cannot be read"),
        ('{"format": 1, "board": "d1_mini", "unique_id": "xyz"}', "board.json cannot be read"),
        ('{"format": 2}', "format 2 of a board's folder is not known"),
        ('{"format": 1, "board": "toaster", "unique_id": "00000000"}', "no such board"),
    ])
def test_folders_that_hold_no_board(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "board.json").write_text(text)
    with pytest.raises(BenchError) as refused:
        BoardFolder.open(tmp_path)
    assert words in str(refused.value) and refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_one_board_one_process(folder: BoardFolder) -> None:
    with folder.lock():
        with pytest.raises(BenchError, match="runs already") as refused, folder.lock():
            pass
        assert refused.value.exit_code == 2
    with folder.lock():
        pass


def test_a_flash_that_is_gone_or_of_another_size(folder: BoardFolder) -> None:
    folder.flash_path.write_bytes(b"\xff" * 4096)
    with pytest.raises(BenchError, match="another size"):
        folder.load_flash(Clock())
    folder.flash_path.unlink()
    with pytest.raises(BenchError, match="flash is gone"):
        folder.load_flash(Clock())


def test_only_what_the_board_changed_is_written(folder: BoardFolder) -> None:
    before = folder.load_files()
    files = dict(before)
    files["/log/new.txt"] = b"made by the board"
    files["/main.py"] = b"# changed by the board\n"
    del files["/twoslot.keys"]
    (folder.files_path / "boot.py").write_text("# changed by a person meanwhile\n")
    (folder.files_path / "notes.txt").write_text("put there by a person meanwhile")
    folder.save_files(before, files)
    after = folder.load_files()
    assert after["/boot.py"] == b"# changed by a person meanwhile\n" and "/notes.txt" in after
    assert after["/log/new.txt"] == b"made by the board" and "/twoslot.keys" not in after
    assert after["/main.py"] == b"# changed by the board\n"
    assert not [path for path in folder.files_path.rglob(".*")]


def test_files_that_cannot_be_read(folder: BoardFolder) -> None:
    (folder.files_path / "memory").symlink_to("/proc/self/mem")
    with pytest.raises(BenchError, match="cannot read"):
        folder.load_files()


def test_more_files_than_the_filesystem_takes(folder: BoardFolder) -> None:
    (folder.files_path / "big").write_bytes(bytes(folder.profile.filesystem.size))
    with pytest.raises(BenchError, match="bytes of files, the board's filesystem has"):
        folder.load_files()
