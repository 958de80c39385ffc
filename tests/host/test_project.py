"""slotbench.toml: found upwards, its paths relative to it, each mistake refused with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.errors import USAGE, BenchError
from slotbench.project import (
    FIELDS,
    PROJECT_FILE,
    Project,
    changed_text,
    find_project,
    load_project,
    project_text,
    require_project,
)

LEAST = 'product = "lamp"\nboard = "d1_mini"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / PROJECT_FILE
    path.write_bytes(text.encode("utf-8"))
    return path


def refusal(folder: Path, text: str) -> BenchError:
    with pytest.raises(BenchError) as caught:
        load_project(write(folder, text))
    assert caught.value.exit_code == USAGE
    assert caught.value.cure, "an error without a cure"
    return caught.value


def test_what_is_not_in_the_file_has_its_usual_place(tmp_path: Path) -> None:
    found = load_project(write(tmp_path, LEAST))
    assert found == Project(
        path=tmp_path / PROJECT_FILE, product="lamp", board="d1_mini", app=None, channel="stable",
        patches=None, server=None, port=None,
        site=tmp_path / "site", keys=tmp_path / "keys" / "lamp.keys",
        offline_key=tmp_path / "keys" / "offline.pem", online_key=tmp_path / "keys" / "online.pem",
        identities=None, hawkbit=None, lines={"product": 1, "board": 2})


def test_it_is_found_upwards_and_its_paths_lead_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, LEAST + 'port = "board.tty"\n')
    below = tmp_path / "src" / "inner"
    below.mkdir(parents=True)
    for folder, up in ((tmp_path, Path(".")), (below, Path("../.."))):
        monkeypatch.chdir(folder)
        found = require_project()
        assert found.path == up / PROJECT_FILE and found.keys == up / "keys/lamp.keys"
        assert found.port == str(up / "board.tty") and found.releases == up / "releases"
    write(below, LEAST.replace("lamp", "inner"))
    assert require_project().product == "inner"
    assert require_project(tmp_path).product == "lamp"


def test_without_one_the_cure_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_project() is None
    with pytest.raises(BenchError, match="no slotbench.toml in this folder or above it.*slotbench init NAME"):
        require_project()


def test_patches_are_a_number(tmp_path: Path) -> None:
    assert load_project(write(tmp_path, f'{LEAST}patches = "0"\n')).patches == 0


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "COM3", "com12", "socket://10.0.0.5:4000", "rfc2217://box:4000"])
def test_a_port_that_is_no_relative_path_stays(tmp_path: Path, port: str) -> None:
    assert load_project(write(tmp_path, f'{LEAST}port = "{port}"\n')).port == port


def test_a_board_may_be_a_file_of_the_project(tmp_path: Path) -> None:
    found = load_project(write(tmp_path, 'product = "lamp"\nboard = "boards/mine.toml"\n'))
    assert found.board == str(tmp_path / "boards/mine.toml")


@pytest.mark.parametrize(("line", "what", "cure"), [
    ('prodcut = "lamp"', "the field prodcut is not known", "rename it to product"),
    ('Offline-Key = "a"', "the field Offline-Key is not known", "rename it to offline_key"),
    ('offline.key = "a"', "[offline] is a table", "the fields stand at the top"),
    ('colour = "red"', "the field colour is not known", "the fields are product, board"),
    ('passphrase = "abc"', "nothing secret belongs into this file", "remove the line"),
    ('wifi_password = "abc"', "nothing secret belongs into this file", "remove the line"),
    ("channel = 3", "channel is not a text", 'in quotes: channel = "3"'),
    ('channel = ["a"]', "channel is not a text", "write one text"),
    ('channel = "My Channel"', "'My Channel' is not a name", "use 1-32 characters"),
    ('server = "https://a"', "a board speaks plain HTTP", "give it as http://"),
    ('server = "192.168.1.10"', "has no scheme", "give it as http://"),
    ('site = ""', "site: it is empty", "remove the line"),
    ('patches = "21"', "patches: it is not a number from 0 to 20", 'patches = "3"'),
    ('patches = "some"', "patches: it is not a number from 0 to 20", 'patches = "3"'),
    ('hawkbit = "0.0.0.0"', "hawkbit: it is no port", 'hawkbit = "0.0.0.0:8280"'),
    ('hawkbit = "99999"', "hawkbit: it is no port", 'hawkbit = "0.0.0.0:8280"'),
    ("patches = 3", "patches is not a text", 'in quotes: patches = "3"'),
    ('port = "a\\u0007"', "port: it is empty, or has control characters", "remove the line"),
    ('keys = "C:\\Users\\me"', "this line is not TOML", "with / in paths"),
    ("site = site", "this line is not TOML", 'NAME = "VALUE"'),
    ('board = "d1_mini"', "this line is not TOML", 'NAME = "VALUE"'),
    ("[project]", "[project] is a table", "remove this line"),
])
def test_a_wrong_field_is_refused_with_its_line(tmp_path: Path, line: str, what: str, cure: str) -> None:
    error = refusal(tmp_path, f"# lamp\n\n{LEAST}{line}\n")
    assert what in error.what and cure in error.cure
    assert error.where == f"{tmp_path / PROJECT_FILE}:5"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, 'product = "lamp"\n').what == "the field board is missing"
    assert refusal(tmp_path, "").cure == 'add a line: product = "..."'


def test_other_files_of_that_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / PROJECT_FILE
    path.write_bytes(b"\n\xff\xfe\n")
    with pytest.raises(BenchError, match=f"not UTF-8: {path}:2"):
        load_project(path)
    path.write_bytes(b"#" * 70_000)
    with pytest.raises(BenchError, match="longer than 65536 bytes"):
        load_project(path)
    path.unlink()
    with pytest.raises(BenchError, match="cannot read"):
        load_project(path)
    path.mkdir()
    assert find_project(tmp_path) is None


def test_an_editor_that_marks_utf8_does_no_harm(tmp_path: Path) -> None:
    assert load_project(write(tmp_path, "\ufeff" + LEAST.replace("\n", "\r\n"))).product == "lamp"


def test_a_file_that_somebody_left_in_an_open_folder_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, LEAST)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert find_project(tmp_path) is not None, "a folder of a colleague"
    tmp_path.chmod(0o777)
    with pytest.raises(BenchError, match="another user made this file"):
        find_project(tmp_path)


TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z0-9_][a-z0-9_-]{0,9}", fullmatch=True)
VALUES = st.fixed_dictionaries({"product": NAMES, "board": NAMES}, optional={
    "channel": NAMES, "patches": st.just("5"), "server": st.just("http://10.0.0.5:80"), "port": TEXTS,
    "site": TEXTS, "keys": TEXTS, "offline_key": TEXTS, "online_key": TEXTS, "identities": TEXTS,
    "hawkbit": st.just("0.0.0.0:8280")})


@given(VALUES)
def test_what_init_writes_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    folder = tmp_path_factory.getbasetemp()
    text = project_text(values)
    assert all(f"\n{name} = " in text or f'\n# {name} = ""' in text for name in FIELDS)
    found = load_project(write(folder, text))
    assert set(found.lines) == set(values)
    for name, value in values.items():
        assert text.splitlines()[found.lines[name] - 1].startswith(f"{name} = ")
        read = getattr(found, name)
        assert str(read) in (value, str(folder / value))
    (folder / PROJECT_FILE).unlink()


@given(VALUES, st.sampled_from(sorted(FIELDS)), TEXTS)
def test_a_changed_field_changes_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str], name: str, value: str,
) -> None:
    if name in ("product", "board", "channel", "patches", "server", "hawkbit"):
        value = values.get(name, {"patches": "7", "server": "http://a", "hawkbit": "8280"}.get(name, "a"))
    path = write(tmp_path_factory.getbasetemp(), project_text(values))
    before = load_project(path)
    path.write_text(changed_text(before, name, value))
    after = load_project(path)
    assert str(getattr(after, name)) in (value, str(path.parent / value))
    for other in FIELDS:
        if other != name and not (name == "product" and other == "keys"):
            assert getattr(after, other) == getattr(before, other)
    assert [line for line in path.read_text().splitlines() if not line.startswith(f"{name} = ")] == [
        line for line in project_text(values).splitlines() if not line.startswith(f"{name} = ")]
    path.unlink()
