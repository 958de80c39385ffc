"""`slotbench demo --attacks`: each attack is told, and the exit code is not a courtesy."""

from __future__ import annotations

from typing import Any

import pytest

from slotbench import cli
from slotbench.cli import demo_attackers, demo_attacks
from slotbench.formats.codes import explain
from slotbench.vboard.vms import VMS

ALL = (*demo_attackers.BEFORE, *demo_attackers.AFTER, demo_attackers.FAST_FORWARD, *demo_attackers.CURED)


@pytest.mark.parametrize("vm", VMS)
def test_an_attackers_day(vm: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    if vm == "micropython":
        request.getfixturevalue("micropython")
    assert cli.run(["demo", "--attacks", "--fast", "--vm", vm]) == 0
    told = capsys.readouterr().out
    rows = {line.split("  ")[0]: line for line in told.splitlines() if line.endswith("  ok")}
    for attack in ALL:
        assert f"{attack.code} {explain(attack.code).meaning}" in rows[attack.name]
    assert f"{len(ALL)} attacks, each refused for the right reason" in told


def test_on_a_board_that_runs_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "--attacks", "--fast", "--board", "native_512k"]) == 0


def test_a_board_that_believes_every_signature_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    right = demo_attacks.board_files

    def without_seal(*arguments: Any, **options: Any) -> dict[str, bytes]:
        files = right(*arguments, **options)
        files["/twoslot/seal.py"] += b"\n\ndef verify(n, s, digest):\n    return True\n"
        return files

    monkeypatch.setattr(demo_attacks, "board_files", without_seal)
    assert cli.run(["demo", "--attacks", "--fast"]) == 1
    assert "forged release" in capsys.readouterr().err


def test_a_refusal_for_another_reason_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    """A board that cannot be reached refuses everything: that is not what is meant."""
    monkeypatch.setattr(
        demo_attacks, "BEFORE",
        [demo_attackers.Attack("no network", "nobody", 22, lambda field: field.board.network.__setattr__("online", False))])  # type: ignore[attr-defined]
    assert cli.run(["demo", "--attacks", "--fast"]) == 1
    said = capsys.readouterr()
    assert "NO" in said.out or "release 3 runs" in said.err


def test_images_of_the_user_have_no_part_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "--attacks", "--image", "firmware.bin"]) == 2
    assert "--image" in capsys.readouterr().err
