"""A publisher's likely mistakes: each refusal names what cures it, and who does that finds the mistake cured.

A row is the mistake, a part of the advice that is printed, and what somebody types who follows it. `...` in
them stands for the mistaken command again.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from support.commands import CommandResult, RunCommand
from support.samples import NOW, KeyRing, make_firmware

BUILD = "release build firmware.bin --product sensor --board d1_mini --no-preflight"
SIGN = "--key keys/offline.pem --keys keys/sensor.keys"
PUBLISH = "--key keys/online.pem --keys keys/sensor.keys"
WITH_IMAGE = f"www --image firmware.bin {PUBLISH}"

MISTAKES: dict[str, tuple[str, str, str, list[str]]] = {
    # name: (done before, the mistake, the advice, what is typed then)
    "an unsigned release is published": (
        "", f"release publish sensor-7.release {WITH_IMAGE}", "sign it first",
        [f"release sign sensor-7.release {SIGN}", "..."]),
    "the release was signed by the online key": (
        "release sign sensor-7.release --key keys/online.pem", f"release publish sensor-7.release {WITH_IMAGE}",
        "sign it with an offline key", [f"release sign sensor-7.release {SIGN}", "..."]),
    "heads are signed by the offline key": (
        "SIGNED", f"release publish sensor-7.release www --image firmware.bin {SIGN}", "use an online key",
        [f"release publish sensor-7.release {WITH_IMAGE}"]),
    "another image is given": (
        "SIGNED", f"release publish sensor-7.release www --image other.bin {PUBLISH}",
        "give the image file that the release was built from", [f"release publish sensor-7.release {WITH_IMAGE}"]),
    "the counter is too low": (
        "PUBLISHED", f"release build firmware.bin --product sensor --board d1_mini --no-preflight --counter 6; "
        f"release sign sensor-6.release {SIGN}; release publish sensor-6.release {WITH_IMAGE}",
        "build it with a higher counter",
        [f"{BUILD} --counter 8", f"release sign sensor-8.release {SIGN}",
         f"release publish sensor-8.release {WITH_IMAGE}"]),
    "the release is for another channel": (
        "SIGNED", f"release publish sensor-7.release {WITH_IMAGE} --channel beta", "build it with --channel beta",
        [f"{BUILD} --counter 8 --channel beta", f"release sign sensor-8.release {SIGN}",
         f"release publish sensor-8.release {WITH_IMAGE} --channel beta"]),
    "a signed release is built again": (
        "SIGNED", f"{BUILD} --counter 7", "give another file with -o", [f"{BUILD} --counter 7 -o again.release"]),
    "the folder of the output is missing": (
        "", f"{BUILD} --counter 8 -o out/new.release", "make it", ["MKDIR out", "..."]),
    "keys are made where keys are": (
        "", "keys new keys --product lamp", "choose another folder", ["keys new more-keys --product lamp"]),
    "a key has a passphrase": (
        "SECRET keys new locked --product sensor --passphrase-file secret",
        "release sign sensor-7.release --key locked/offline.pem", "give --passphrase-file",
        ["release sign sensor-7.release --key locked/offline.pem --passphrase-file secret"]),
    "a rollout shrinks": (
        "PUBLISHED", f"release promote www --percent 10 {PUBLISH}", "give --shrink", [
            f"release promote www --percent 10 {PUBLISH} --shrink"]),
    "nothing older can be offered": (
        "PUBLISHED", f"release withdraw www {PUBLISH}", "`slotbench release pause`", [f"release pause www {PUBLISH}"]),
    "nothing is published yet": (
        "SIGNED", f"release promote www --percent 10 {PUBLISH}", "publish a release first",
        [f"release publish sensor-7.release {WITH_IMAGE} --percent 5", "..."]),
    "the only offline key is dropped": (
        "", "keys rotate keys --product sensor --key keys/offline.pem --drop-offline keys/offline.pem",
        "add another first with --add-offline, and sign with it",
        ["keys rotate keys --product sensor --key keys/offline.pem --add-offline",
         "keys rotate keys --product sensor --key keys/offline-2.pem --drop-offline keys/offline.pem"]),
    "the key of the release was dropped": (
        "PUBLISHED; keys rotate keys --product sensor --key keys/offline.pem --add-offline; "
        "keys rotate keys --product sensor --key keys/offline-2.pem --drop-offline keys/offline.pem",
        f"release publish --refresh www {PUBLISH}", "sign it with a key of keys/sensor.keys and publish it again",
        ["release sign sensor-7.release --key keys/offline-2.pem --keys keys/sensor.keys",
         f"release publish sensor-7.release {WITH_IMAGE}", "..."]),
    "the path is mistyped": (
        "PUBLISHED", "release list ww --keys keys/sensor.keys", "check the path",
        ["release list www --keys keys/sensor.keys"]),
    "the site was emptied": (
        "PUBLISHED; RMDIR www/heads", f"release publish --refresh www {PUBLISH}",
        "`slotbench release publish --repair www`", [f"release publish --repair www {PUBLISH}", "..."]),
}

Typed: TypeAlias = Callable[[str], CommandResult]


@pytest.fixture
def typed(
    slotbench: RunCommand, tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch,
) -> Typed:
    """Type commands, separated by `;`, in a scratch folder; returns what the last one did."""
    monkeypatch.chdir(tmp_path)
    Path("firmware.bin").write_bytes(make_firmware(100_000))
    Path("other.bin").write_bytes(make_firmware(100_000, seed=2))
    Path("secret").write_text("correct horse\n")
    now = [NOW]

    def typed(line: str) -> CommandResult:
        ran = CommandResult(0, "", "")
        for command in filter(None, (part.strip() for part in line.split(";"))):
            now[0] += 1
            monkeypatch.setattr("time.time", lambda: float(now[0]))
            verb, *words = shlex.split(command)
            if verb == "MKDIR":
                Path(words[0]).mkdir()
            elif verb == "RMDIR":
                shutil.rmtree(words[0])
            elif verb == "SECRET":
                assert slotbench(*words).code == 0
            elif verb == "SIGNED":
                assert slotbench(*shlex.split(f"release sign sensor-7.release {SIGN}")).code == 0
            elif verb == "PUBLISHED":
                typed(f"SIGNED; release publish sensor-7.release {WITH_IMAGE}")
            else:
                ran = slotbench(verb, *words)
        return ran

    assert typed(f"{BUILD} --counter 7").code == 0
    return typed


@pytest.mark.parametrize("name", MISTAKES)
def test_who_follows_the_advice_is_cured(typed: Typed, name: str) -> None:
    before, mistake, advice, cure = MISTAKES[name]
    assert typed(before).code == 0
    refused = typed(mistake)
    assert refused.code in (1, 2) and advice in refused.err, refused
    for line in cure:
        done = typed(mistake if line == "..." else line)
        assert done.code == 0, (line, done)
