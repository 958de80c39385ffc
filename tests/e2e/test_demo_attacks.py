"""`slotbench demo --attacks` lists every attack; its exit code is 1 when a board accepts one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from slotbench import cli
from slotbench.demo import attackers as demo_attackers
from slotbench.demo import attacks as demo_attacks
from slotbench.formats.codes import explain
from slotbench.vboard.vms import VMS
from support.sampling import Sampler


ALL = (
    *demo_attackers.BEFORE, *demo_attackers.AFTER, demo_attackers.FAST_FORWARD, *demo_attackers.CURED,
    demo_attackers.FLOOD)
SLOW = "slow retrieval"
ALWAYS = (demo_attackers.FAST_FORWARD, demo_attackers.FLOOD)
ON_MICROPYTHON = 14


@pytest.mark.parametrize("vm", VMS)
def test_an_attackers_day(
    vm: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    sampler: Sampler,
) -> None:
    played = ALL
    if vm == "micropython":
        request.getfixturevalue("micropython")
        # Each turn asks the host seven times: in hours that is half a million times.
        monkeypatch.setattr(demo_attacks, "MAIN", demo_attacks.MAIN.replace("(100)", "(5000)"))
        # Twenty minutes of waiting for ten bytes at a time are two thirds of all work there.
        some = [attack for attack in ALL if attack not in ALWAYS and (sampler.whole or not attack.name.startswith(SLOW))]
        played = (*sampler.draw("attacks on the MicroPython VM", some, ON_MICROPYTHON, kind=lambda it: it.who), *ALWAYS)
        for stage in ("BEFORE", "AFTER", "CURED"):
            monkeypatch.setattr(demo_attacks, stage, [it for it in getattr(demo_attacks, stage) if it in played])
    assert cli.run(["demo", "--attacks", "--fast", "--vm", vm]) == 0
    told = capsys.readouterr().out
    rows = {line.split("  ")[0]: line for line in told.splitlines() if line.endswith("  ok")}
    assert len(played) == len(ALL) or vm == "micropython" and len(played) >= ON_MICROPYTHON
    for attack in played:
        entry = explain(attack.code)
        assert f"{entry.code} {entry.word}: {entry.meaning}" in rows[attack.name]
    assert f"{len(played)} attacks, each refused for the right reason" in told


def test_on_a_board_that_runs_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "--attacks", "--fast", "--board", "native_512k"]) == 0


def break_module(monkeypatch: pytest.MonkeyPatch, name: str, right: bytes, wrong: bytes) -> None:
    """Remove one defence from this module of the demo's board."""
    files_of = demo_attacks.board_files

    def broken(*arguments: Any, **options: Any) -> dict[str, bytes]:
        files = files_of(*arguments, **options)
        assert right in files[f"/twoslot/{name}.py"]
        files[f"/twoslot/{name}.py"] = files[f"/twoslot/{name}.py"].replace(right, wrong)
        return files

    monkeypatch.setattr(demo_attacks, "board_files", broken)


def play_only(monkeypatch: pytest.MonkeyPatch, *attacks: demo_attackers.Attack) -> None:
    """Play only these attacks before the update, then the last scenes."""
    for name, played in (("BEFORE", attacks), ("AFTER", ()), ("CURED", ())):
        monkeypatch.setattr(demo_attacks, name, played)


def test_a_board_that_checks_at_every_hint_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    play_only(monkeypatch)
    break_module(monkeypatch, "mqtt/client", b"_GAP_MS = const(60000)", b"_GAP_MS = const(1)")
    break_module(monkeypatch, "mqtt/client", b"max(2 * sub.gap_ms + sub.rest_ms, _GAP_MS)", b"_GAP_MS")
    assert cli.run(["demo", "--attacks", "--fast"]) == 1
    assert "a flood of hints" in capsys.readouterr().err


def test_a_board_that_accepts_every_signature_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    play_only(monkeypatch, *(attack for attack in demo_attackers.BEFORE if attack.name == "forged release"))
    break_module(
        monkeypatch, "trust/rsa", b'    return sums[2].to_bytes(KEY_BYTES, "big") == block\n', b"    return True\n")
    # A stranger's signature is above this modulus as often as not.
    break_module(monkeypatch, "trust/rsa", b" if s < n else None\n", b"\n")
    assert cli.run(["demo", "--attacks", "--fast"]) == 1
    assert "forged release" in capsys.readouterr().err


DEFENCES = {
    "older key files, put back": ("trust/verify", b"if trusted[0] < floor:", b"if False:"),
    "an unsigned line in twoslot.keys2": ("trust/keyring", b'(0,), facts["keys"]', b"(0,), None"),
    "freeze: nothing new (304), for ever": ("http/documents", b" or etag[1] < now:", b":"),
    "an image at a host that wants the MAC": ("http/request", b"        who = None  # another", b"        pass  #"),
    "replay: after a stay in another channel": ("trust/policy", b"in range(0, len(others), 8)", b"in ()"),
    "a challenge with a header of its own": ("http/request", b"_hex_digits(value[15:-1])", b"value[15:-1].decode()"),
}
"""Attack -> the line that stops it, and what it would be without."""


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", DEFENCES)
def test_a_board_without_a_defence_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str,
) -> None:
    for stage in ("BEFORE", "AFTER", "CURED"):
        chosen = [attack for attack in getattr(demo_attackers, stage) if attack.name == name]
        monkeypatch.setattr(demo_attacks, stage, chosen)
    monkeypatch.setattr(demo_attacks.AttackDemo, "_flood", lambda demo, url: None)
    break_module(monkeypatch, *DEFENCES[name])
    assert cli.run(["demo", "--attacks", "--fast"]) == 1
    assert f"not refused for the right reason: {name}" in capsys.readouterr().err


def test_a_refusal_for_another_reason_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    """A portal in place of a forgery: refused, but with another code than the attack needs."""
    portal, *_ = demo_attackers.BEFORE
    play_only(monkeypatch, dataclasses.replace(portal, code=22))
    assert cli.run(["demo", "--attacks", "--fast"]) == 1
    said = capsys.readouterr()
    assert "captive portal" in said.err and said.out.count("  NO\n") == 1


def test_images_of_the_user_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["demo", "--attacks", "--image", "firmware.bin"]) == 2
    assert "--image" in capsys.readouterr().err
