"""The templates for a CI: their shell lines run as they are, with the secrets in the environment."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from slotbench import cli
from slotbench.project import project_text
from slotbench.release import documents
from slotbench.release.heads import last_head
from slotbench.release.keys import SigningKey
from slotbench.release.store import Store
from slotbench.server import BackgroundServer, create_app
from slotbench.vboard import firmware
from support.guides.page import ROOT
from support.testbed import put_keys

FOLDER = ROOT / "host" / "docs" / "ci"
RSYNC = """#!/bin/sh
# What the templates use of rsync, between folders of this machine.
from= to= only= no_heads=
for word; do
  case "$word" in
    -a|--exclude=.lock|--exclude=*'*'*) ;;
    --exclude=/heads) no_heads=1 ;;
    --include=*) only=1 ;;
    *) from="$to"; to="$word" ;;
  esac
done
mkdir -p "$to"
[ -d "$from" ] || exit 0
if [ -n "$only" ]; then cp "$from"/*.published "$to"; exit; fi
[ -z "$no_heads" ] || { rm -rf "$from.no-heads"; cp -r "$from" "${from%/}.part"; rm -rf "${from%/}.part/heads"; from="${from%/}.part/"; }
cp -r "$from". "$to"
rm -f "$to/.lock"
[ -z "$no_heads" ] || rm -rf "$from"
"""


def github_lines(tag: str) -> list[str]:
    """The shell of the steps that run for this tag; "" is the timer."""
    job = yaml.safe_load((FOLDER / "github.yml").read_text())["jobs"]["publish"]
    wanted = [step for step in job["steps"] if step.get("if") != ("${{ env.TAG == '' }}" if tag else "${{ env.TAG != '' }}")]
    return [step["run"] for step in wanted if "run" in step]


def gitlab_lines(tag: str) -> list[str]:
    """The same: one shell runs all of them there."""
    job = yaml.safe_load((FOLDER / "gitlab.yml").read_text())["publish"]
    lines = [line for line in (*job["before_script"], *job["script"]) if not line.startswith("apt-get")]
    return ["\n".join(lines), "\n".join(job["after_script"])]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone, as the CI has it: public keys and slotbench.toml; no private key."""
    folder = tmp_path / "clone"
    folder.mkdir()
    put_keys(folder / "keys")
    for name in ("offline", "online"):
        path = folder / "keys" / f"{name}.pem"
        key = SigningKey.load(path)
        monkeypatch.setenv(f"{name.upper()}_KEY", key.to_pem(b"correct horse").decode().rstrip("\n"))
        path.unlink()
    (folder / "build.sh").write_text("#!/bin/sh\ncp firmware.built firmware.bin\n")
    (folder / "build.sh").chmod(0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("rsync", RSYNC), ("pip", "#!/bin/sh\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tools / "slotbench").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m slotbench "$@"\n')
    (tools / "slotbench").chmod(0o755)
    (tmp_path / "home").mkdir()
    for name, value in {
        "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path / "home"), "SITE": str(tmp_path / "host"),
        "SLOTBENCH_PASSPHRASE": "correct horse", "SSH_KEY": "ssh", "SSH_HOST_KEY": "host",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }.items():
        monkeypatch.setenv(name, value)
    return folder


def run_lines(lines: list[str], folder: Path, tag: str) -> str:
    """Run the shell lines of one job, each piece in a shell of its own; what they said."""
    said = ""
    for line in lines:
        ran = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", line], cwd=folder, env={**os.environ, "TAG": tag, "CI_COMMIT_TAG": tag},
            capture_output=True, text=True, timeout=120, check=False)
        said += ran.stdout + ran.stderr
        assert ran.returncode == 0, f"{line}\n{said}"
    return said


@pytest.mark.parametrize("lines_of", [github_lines, gitlab_lines], ids=["github", "gitlab"])
def test_a_tag_is_published_and_the_timer_signs_again(lines_of: Any, repository: Path, tmp_path: Path) -> None:
    """On a host that a second machine sees; the second run begins with a fresh clone."""
    fresh = tmp_path / "fresh"
    (tmp_path / "host" / "www").mkdir(parents=True)
    with BackgroundServer(create_app(tmp_path / "host" / "www"), "127.0.0.1", 0) as server:
        values = {"product": "lamp", "board": "generic_4m", "server": server.url}
        (repository / "slotbench.toml").write_text(project_text(values))
        (repository / "firmware.built").write_bytes(firmware.build("1.2.3", size=60_000))
        shutil.copytree(repository, fresh)
        said = run_lines(lines_of("v1.2.3"), repository, "v1.2.3")
        assert f"{server.url} offers counter 2" in said and "correct horse" not in said and "PRIVATE" not in said
        keys = documents.read_keys(fresh / "keys" / "lamp.keys")[1]
        store = Store(tmp_path / "host" / "www")
        first = last_head(store, keys, "stable")
        assert first is not None and not list(store.root.rglob(".lock"))
        said = run_lines(lines_of(""), fresh, "")
        again = last_head(store, keys, "stable")
        assert again is not None and again.release == first.release and again.seq > first.seq
    assert (tmp_path / "host" / "state" / "lamp.published").is_file()
    if lines_of is github_lines:
        assert stat.S_IMODE((fresh / "keys" / "offline.pem").stat().st_mode) == 0o600
    else:
        assert not list(fresh.glob("keys/*.pem")), "nothing is left for the next job on that machine"


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_no_secret_is_on_a_command_line(name: str) -> None:
    text = (FOLDER / name).read_text()
    for line in text.splitlines():
        if "slotbench " in line and "pip install" not in line:
            assert "$SLOTBENCH" not in line and "_KEY" not in line, line
    assert cli.run(["ship", "--help"]) == 0
