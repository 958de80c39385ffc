"""`slotbench prove`: the commands, in small sizes; what they print and how they end."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from slotbench.cli import prove_fuzz, prove_powercut
from slotbench.cli.prove import prove
from slotbench.errors import BenchError
from slotbench.prove import fleet
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.fuzz import Round
from slotbench.prove.powercut.runner import CutId, Failure, PowerCutProof, RunResult
from slotbench.vboard.firmware import Behaviour

RUN = "generic_4m/model/rollback/3:torn:1"


def told(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(prove, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)["result"]
    return found


def test_powercut() -> None:
    found = told("powercut", "--scenario", "rollback", "--loader", "model", "--torn", "0", "--pairs", "1")
    assert {"cuts", "boots", "bricks", "unverified_boots", "cuts_per_second", "seed"} <= found.keys()
    singles = [row for row in found["scenarios"] if not row["pairs"]]
    assert [row["board"] for row in singles] == ["generic_4m", "native_512k"]
    assert all(row["cuts"] == 4 * row["operations"] > 0 for row in singles)
    assert found["cuts"] > sum(row["cuts"] for row in singles) and found["bricks"] == 0 and found["failures"] == []


def test_powercut_in_words() -> None:
    result = CliRunner().invoke(
        prove, ["powercut", "--scenario", "poll", "--board", "native_512k", "--torn", "0"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "native_512k poll" in result.stdout and "0 bricks, 0 unverified boots" in result.stdout
    assert result.stdout.startswith("seed 0")


def test_a_replay_with_its_dump(tmp_path: Path) -> None:
    found = told("powercut", "--replay", RUN, "--dump", str(tmp_path / "kept"))
    assert found["cuts"] == 1 and found["boots"] >= 1
    flash, text = sorted((tmp_path / "kept").iterdir())
    assert flash.stat().st_size == 0x400000
    words = text.read_text()
    assert words.startswith(RUN) and "sector 0 page  0: #" in words and "active" in words


@pytest.mark.parametrize("text", ["", "1:torn:0", "generic_4m/model/no/1:torn:0", RUN + "+", "generic_4m/model/copy/x"])
def test_not_an_id(text: str) -> None:
    with pytest.raises(BenchError) as refused:
        CutId.parse(text)
    assert refused.value.exit_code == 2


def test_no_such_operation() -> None:
    result = CliRunner().invoke(prove, ["powercut", "--replay", "generic_4m/model/rollback/9999:torn:1"])
    assert isinstance(result.exception, BenchError) and result.exception.exit_code == 2


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failure_ends_with_1_and_says_how_to_repeat_it(
    monkeypatch: pytest.MonkeyPatch, as_json: bool,
) -> None:
    def run(self: PowerCutProof, id: CutId, at_end: object = None) -> RunResult:
        return RunResult(1, 2, 0, [Failure(id, 2, "2: what runs was signed")])

    monkeypatch.setattr(prove_powercut.PowerCutProof, "run", run)
    result = CliRunner().invoke(prove, ["powercut", "--replay", RUN, *(["--json"] if as_json else [])])
    assert isinstance(result.exception, BenchError) and result.exception.exit_code == 1
    if as_json:
        found = json.loads(result.stdout)["result"]
        assert (found["bricks"], found["unverified_boots"]) == (0, 1)
        assert found["failures"] == [{"id": RUN, "promise": 2, "text": "2: what runs was signed"}]
    else:
        assert f"slotbench prove powercut --seed 0 --replay {RUN}" in result.stdout


def test_network() -> None:
    found = told("network", "--updates", "3", "--rate", "0", "--rate", "0.2", "--kib", "64")
    assert [row["failing"] for row in found["rates"]] == [0, 0.2]
    for row in found["rates"]:
        assert row["updates"] == row["succeeded"] == 3
        assert {"restart_client_succeeded", "refetched_blocks_per_interruption"} <= row.keys()


def test_network_in_words() -> None:
    result = CliRunner().invoke(prove, ["network", "--updates", "2", "--rate", "0.1"], catch_exceptions=False)
    assert result.exit_code == 0 and "    10%        2          2" in result.stdout


def test_fleet() -> None:
    found = told("fleet", "--boards", "6", "--seed", "31", "--processes", "1")
    assert sum(found["ended"].values()) == 6 and found["failures"] == []
    assert {member["channel"] for member in found["members"]} == {"stable", "beta"}
    assert {member["board"] for member in found["members"]} == {"generic_4m", "d1_mini", "nodemcu"}
    assert any(member["bad_flash"] for member in found["members"]), "the seed gives one of each kind"
    tried = [member for member in found["members"] if member["refused"] == 3]
    assert tried and all(member["runs"] == 2 and member["channel"] == "stable" for member in tried)
    assert found["cuts"] > 0


def test_a_fleet_that_ends_on_what_it_must_not_run_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bad release gives itself for a good one: the boards keep it, and the proof says which they are."""
    monkeypatch.setattr(fleet, "_BAD_DOES", Behaviour.HEALTHY)
    result = CliRunner().invoke(prove, ["fleet", "--boards", "4", "--seed", "8", "--processes", "1", "--json"])
    assert isinstance(result.exception, BenchError) and result.exception.exit_code == 1
    found = json.loads(result.stdout)["result"]
    assert found["failures"] and all(text.endswith("it runs 3 and not 2") for text in found["failures"])
    assert len(found["failures"]) == sum(member["runs"] == 3 for member in found["members"])


def test_field() -> None:
    found = told("field", "--story", "trial-cut-early", "--story", "timer-tick-only", "--processes", "1")
    assert [story["name"] for story in found["stories"]] == ["trial-cut-early", "timer-tick-only"]
    assert all(story["failure"] == "" and 0 < story["dark_ms"] <= 15 * 60_000 for story in found["stories"])
    assert (found["need_a_person"], found["skipped"]) == (0, [])


def test_field_without_a_story_proves_nothing() -> None:
    result = CliRunner().invoke(prove, ["field", "--story", "nothing"])
    assert isinstance(result.exception, BenchError) and result.exception.exit_code == 2


def test_a_board_in_the_field_that_needs_a_person_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that never calls tick() and gives itself for the cure."""
    monkeypatch.setattr(FieldRun, "publish", functools.partialmethod(FieldRun.publish, Behaviour.HANG))
    result = CliRunner().invoke(prove, ["field", "--story", "two-tasks", "--processes", "1"])
    assert isinstance(result.exception, BenchError) and result.exception.exit_code == 1
    assert "1 boards that need a person" in result.stdout
    assert "NEEDS A PERSON: not after 2 hours: release" in result.stdout
    assert str(result.exception).endswith("repeat one with --story two-tasks --seed 0, and report it")


def test_fuzz() -> None:
    found = told("fuzz", "--minutes", "0", "--processes", "1", "--only", "any_map_table", "--seed", "7")
    (round,) = found["rounds"]
    assert round["seed"] == 7 and round["passed"] > 0 and found["examples"] > 100 and found["failures"] == 0


def test_fuzz_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def rounds(*_: object, **__: object) -> list[Round]:
        return [Round(5, 3, 100, 1.0, "Falsifying example: ...", repeat="slotbench prove fuzz --seed 5")]

    monkeypatch.setattr(prove_fuzz, "prove_fuzz", rounds)
    result = CliRunner().invoke(prove, ["fuzz"])
    assert isinstance(result.exception, BenchError) and result.exception.exit_code == 1
    assert "Falsifying example" in result.stdout and "--seed 5" in result.stdout
