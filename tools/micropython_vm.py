"""Owns .cache/micropython: the 32-bit MicroPython of Debian with its libraries, unpacked and not installed.

Standard library only. The mirror is the one that apt is configured for on this machine, its signatures are
checked by apt with Debian's own keys, and nothing outside the cache is written.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "micropython"
_SUITE = "trixie"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PACKAGES = ("micropython", "libc6", "libffi8", "libmbedcrypto16", "libmbedtls21", "libmbedx509-7")
_VERSION = "1.25.0+ds-1"
_SHA256 = "a72799821cb45442150f8a7f0757bc8e4f9a4b64abccbd837d694a20d6900bb5"
"""Of micropython_1.25.0+ds-1_i386.deb. Libraries move with Debian's point releases; theirs is recorded."""
_LIBRARIES = "usr/lib/i386-linux-gnu"
_RECORD = "sha256"


class NoVM(Exception):
    """Why the VM could not be had; the text says what to do."""


def main(args: Sequence[str]) -> int:
    """Get the VM unless it is there. Returns 0, or 1 when it cannot be had, which stderr then explains."""
    parser = argparse.ArgumentParser(
        prog="tools/get-micropython", description=f"Put the real MicroPython VM into {CACHE}.")
    parser.add_argument("--quiet", action="store_true", help="say nothing when it is there already")
    parser.add_argument("--again", action="store_true", help="get it even when it is there")
    options = parser.parse_args(args)
    try:
        if options.again or not _complete():
            _get()
        elif options.quiet:
            return 0
    except NoVM as e:
        sys.stderr.write(f"get-micropython: no MicroPython VM: {e}\n")
        return 1
    print(f"MicroPython {_VERSION} (i386) is in {CACHE.relative_to(ROOT)}")
    return 0


def _complete() -> bool:
    """True when an earlier run came to its end and what it got runs here."""
    record = CACHE / _RECORD
    if not record.is_file() or _SHA256 not in record.read_text(encoding="utf-8"):
        return False
    return not _trouble(CACHE / "root")


def _get() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NoVM(f"it comes as Debian packages, and {tool} is not here; run on Debian")
    if not _KEYRING.is_file():
        raise NoVM(f"{_KEYRING} is missing; install debian-archive-keyring")
    CACHE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="micropython-", dir=CACHE.parent) as folder:
        work = Path(folder)
        packages = _download(work)
        new = work / "new"
        _unpack(packages, new)
        if trouble := _trouble(new / "root"):
            raise NoVM(trouble)
        shutil.rmtree(CACHE, ignore_errors=True)
        os.replace(new, CACHE)


def _download(work: Path) -> list[Path]:
    """Fetch the packages from the first mirror that has them."""
    mirrors = _mirrors()
    if not mirrors:
        raise NoVM("apt on this machine names no Debian mirror (a URI that ends in /debian) in its sources")
    said = ""
    for mirror in mirrors:
        sources = work / "sources.list"
        sources.write_text(f"deb [arch=i386 signed-by={_KEYRING}] {mirror} {_SUITE} main\n", encoding="utf-8")
        for command in (["update"], ["download", *_PACKAGES]):
            run = _apt(work, sources, command)
            if run.returncode:
                said = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
                break
        else:
            return sorted((work / "packages").glob("*.deb"))
    raise NoVM(f"apt-get {command[0]} failed: {said}; check the network, or apt's configuration")


def _mirrors() -> list[str]:
    """The Debian mirrors that apt is configured for, in its own order."""
    run = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True, text=True, check=False)
    found = [line.strip().rstrip("/") for line in run.stdout.splitlines()]
    return list(dict.fromkeys(uri for uri in found if uri.rsplit("/", 1)[-1] == "debian"))


def _apt(work: Path, sources: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run apt-get on files and directories of its own, none of them the machine's."""
    for folder in ("state/lists/partial", "cache/archives/partial", "packages", "sources.list.d"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "state/status").touch()
    settings = {
        "Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": work / "sources.list.d",
        "Dir::State": work / "state", "Dir::State::Lists": work / "state/lists",
        "Dir::State::status": work / "state/status",
        "Dir::Cache": work / "cache",
        "APT::Architecture": "i386", "APT::Architectures": "i386", "Debug::NoLocking": 1,
        "APT::Sandbox::User": "", "Acquire::Languages": "none", "APT::Get::AllowUnauthenticated": "false",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    return subprocess.run(
        ["apt-get", "-qq", *options, *command], cwd=work / "packages", stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})


def _unpack(packages: Sequence[Path], into: Path) -> None:
    """Unpack what came, and record what it was."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in packages}
    vm = [digest for name, digest in digests.items() if name.startswith("micropython_")]
    if vm != [_SHA256]:
        raise NoVM(f"{_SUITE} has another micropython than {_VERSION} by now, sha256 {vm}; "
                   "look at it, then pin it in tools/micropython_vm.py")
    (into / "root").mkdir(parents=True)
    for path in packages:
        run = subprocess.run(
            ["dpkg-deb", "-x", path, into / "root"], capture_output=True, text=True, check=False)
        if run.returncode:
            raise NoVM(f"{path.name} cannot be unpacked: {run.stderr.strip()}")
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    (into / _RECORD).write_text("".join(lines), encoding="utf-8")


def _trouble(root: Path) -> str:
    """Why the VM under `root` does not run here, or nothing."""
    libraries = root / _LIBRARIES
    loader, program = libraries / "ld-linux.so.2", root / "usr/bin/micropython"
    command: list[str | Path] = [loader, "--library-path", libraries, program, "-c", "print(6 * 7)"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as e:
        return f"no 32-bit x86 programs run here ({e.strerror}); a kernel with IA32 emulation runs them"
    return "" if run.stdout == "42\n" else f"it does not run: {run.stderr.strip() or run.returncode}"
