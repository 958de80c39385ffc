"""The container file, without a container: its sources are enough, its commands run, and what it starts serves."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gates.bare import ROOT, make_venv

from slotbench.release.publisher import Publisher
from support.guides.reader import parse

FILE = ROOT / "host" / "examples" / "Containerfile"
KNOWN = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT",
         "CMD"}
OFFLINE = ["--quiet", "--no-compile", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage: word and rest."""
    found: list[list[tuple[str, str]]] = []
    for line in re.sub(r"\\\n\s*", "", FILE.read_text()).splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        assert word in KNOWN and rest, line
        if word == "ARG":
            assert not found and rest.startswith("BASE="), "only the base is chosen when it is built"
            continue
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def words(word: str) -> list[str]:
    """The words of the last instruction of this kind, in its JSON form."""
    last = [rest for name, rest in stages()[-1] if name == word][-1]
    listed: list[str] = json.loads(last[last.index("["):])
    return listed


def test_it_runs_as_nobody_and_has_no_secret() -> None:
    build, image = stages()
    assert (image[0][1], build[0][1]) == ("${BASE}", "${BASE} AS build"), "what is built runs on what it was built on"
    names = [name for name, _ in image]
    assert names.index("USER") < names.index("ENTRYPOINT") and dict(image)["USER"] not in ("0", "root")
    assert f"--uid {dict(image)['USER']} " in dict(image)["RUN"]
    assert [rest for name, rest in image if name == "COPY"] == ["--from=build /opt/twoslot /opt/twoslot"]
    assert dict(image)["WORKDIR"] == dict(image)["VOLUME"] and dict(image)["WORKDIR"] in dict(image)["RUN"]
    assert not re.search(r"\.pem|token|passw", FILE.read_text())


def test_what_it_starts_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert words("ENTRYPOINT") == ["slotbench"]
    (tmp_path / "slotbench.toml").write_text('product = "lamp"\nboard = "d1_mini"\n')
    monkeypatch.chdir(tmp_path)
    parse(words("CMD"))
    assert {port for port in dict(stages()[-1])["EXPOSE"].split()} == set(
        re.findall(r"\b8\d{3}\b", " ".join(words("CMD"))))
    page = (ROOT / "host" / "docs" / "container.md").read_text()
    for inside in re.findall(r"(?:exec twoslot slotbench|(?<=twoslot) twoslot) ([a-z].*)", page):
        parse(shlex.split(inside))


@pytest.mark.skipif(sys.platform == "win32", reason="containers of this file are Linux")
def test_its_commands_install_it_and_what_it_starts_serves(tmp_path: Path) -> None:
    source, home, venv = tmp_path / "build", tmp_path / "home", tmp_path / "venv"
    source.mkdir()
    for name, rest in stages()[0]:
        if name == "COPY":
            *files, target = rest.split()
            for each in files:
                copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy
                copy(ROOT / each, source / target / (each if target == "./" else ""))  # type: ignore[operator]
    runs = [shlex.split(rest) for name, rest in stages()[0] if name == "RUN"]
    assert runs[0] == ["python", "-m", "venv", "/opt/twoslot"] and runs[1][:2] == ["/opt/twoslot/bin/pip", "install"]
    python = make_venv(venv)
    wanted = [word for word in runs[1][2:] if not word.startswith("-")]
    subprocess.run([python, "-m", "pip", "install", *OFFLINE, *wanted], cwd=source, check=True)
    publisher = Publisher(home, "lamp", 1)
    shutil.rmtree(home / "keys")
    head = publisher.site.root / "heads" / "lamp" / "stable.head"
    head.parent.mkdir(parents=True)
    head.write_bytes(b"a head\n")
    (home / "slotbench.toml").write_text('product = "lamp"\nboard = "d1_mini"\nserver = "http://192.0.2.1:8266"\n')
    command = [word.replace("8266", "0").replace("8270", "0").replace("0.0.0.0", "127.0.0.1") for word in words("CMD")]
    environment = {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [venv / "bin" / words("ENTRYPOINT")[0], *command], cwd=home, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(3)]
        cockpit = re.findall(r"Cockpit: http://127\.0\.0\.1:(\d+)/", "".join(lines))
        assert cockpit, lines
        healthy = [word.replace("8270", cockpit[0]) for word in words("HEALTHCHECK")]
        subprocess.run(healthy, env=environment, check=True)
        server.send_signal(signal.Signals[dict(stages()[-1])["STOPSIGNAL"]])
        assert server.wait() == 130
    assert (home / "fleet.token").exists() and (home / "fleet.sqlite").exists()
