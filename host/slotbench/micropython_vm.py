"""The real MicroPython VM: Debian's 32-bit build with its libraries, unpacked into a cache and not installed.

Standard library only, so that it runs before anything is installed. The mirror is the one that apt is
configured for on this machine, its signatures are checked by apt with Debian's own keys, and nothing outside
the cache is written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from slotbench.errors import CHECK_FAILED, BenchError

__all__ = ["CLIENT_TESTS", "VERSION", "get_tests", "get_vm", "suite_cache", "vm_cache"]

VERSION: Final = "1.25.0+ds-1"
"""Of Debian's package."""
CLIENT_TESTS: Final = "mpremote-client"
"""The folder of mpremote's own tests, in that of MicroPython's."""
_SUITE: Final = "trixie"
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PACKAGES: Final = ("micropython", "libc6", "libffi8", "libmbedcrypto16", "libmbedtls21", "libmbedx509-7")
_SHA256: Final = "a72799821cb45442150f8a7f0757bc8e4f9a4b64abccbd837d694a20d6900bb5"
"""Of micropython_1.25.0+ds-1_i386.deb. Libraries move with Debian's point releases; theirs is recorded."""
_SOURCE_SHA256: Final = "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
"""Of micropython_1.25.0+ds.orig.tar.xz."""
_LIBRARIES: Final = "usr/lib/i386-linux-gnu"
_RECORD: Final = "sha256"


def vm_cache() -> Path:
    """The folder that the VM is put into: in a checkout its .cache, else the user's own cache."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "tools" / "bootstrap.py").is_file():
        return checkout / ".cache" / "micropython"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "twoslot", "micropython")


def get_vm(cache: Path, *, again: bool = False) -> bool:
    """Put the VM into the folder `cache`, unless it is there and runs; with `again` in any case.

    Returns whether it was fetched. Raises BenchError if it cannot be had here.
    """
    if not again and _complete(cache):
        return False
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise _no_vm(f"it comes as Debian packages, and {tool} is not here", "run on Debian")
    if not _KEYRING.is_file():
        raise _no_vm(f"{_KEYRING} is missing", "install debian-archive-keyring")
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="micropython-", dir=cache.parent) as folder:
        work = Path(folder)
        packages = _download(work)
        new = work / "new"
        _unpack(packages, new)
        if trouble := _trouble(new / "root"):
            raise _no_vm(*trouble)
        shutil.rmtree(cache, ignore_errors=True)
        os.replace(new, cache)
    return True


def suite_cache() -> Path:
    """The folder of MicroPython's own tests, once `get_tests` has been called."""
    return vm_cache().with_name("micropython-tests")


def get_tests(folder: Path) -> bool:
    """Put the tests of the VM's source into `folder`, unless they are there; whether they were fetched.

    Raises BenchError if they cannot be had here.
    """
    if (folder / CLIENT_TESTS).is_dir():
        return False
    if shutil.which("apt-get") is None or not _KEYRING.is_file():
        raise _no_vm("its tests come from Debian's source package", "run on Debian")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="micropython-", dir=folder.parent) as made:
        work = Path(made)
        commands = (["update"], ["source", "--download-only", f"micropython={VERSION}"])
        _fetch(work, "deb-src", commands)
        (archive,) = (work / "packages").glob("*.orig.tar.xz")
        if (digest := hashlib.sha256(archive.read_bytes()).hexdigest()) != _SOURCE_SHA256:
            raise _no_vm(f"its source has another sha256, {digest}", "look at it, then pin it")
        with tarfile.open(archive) as tar:
            wanted = [it for it in tar.getmembers() if it.isfile() and "/tests/" in it.name]
            tar.extractall(work / "new", wanted, filter="data")
        (tests,) = (work / "new").glob("*/tests")
        (client,) = (work / "new").glob("*/tools/mpremote/tests")
        os.replace(client, tests / CLIENT_TESTS)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(tests, folder)
    return True


def _no_vm(why: str, cure: str) -> BenchError:
    return BenchError(f"no MicroPython VM: {why}", cure=cure, exit_code=CHECK_FAILED)


def _complete(cache: Path) -> bool:
    """True when an earlier run came to its end and what it got runs here."""
    record = cache / _RECORD
    if not record.is_file() or _SHA256 not in record.read_text(encoding="utf-8"):
        return False
    return not _trouble(cache / "root")


def _download(work: Path) -> list[Path]:
    """Fetch the packages from the first mirror that has them."""
    _fetch(work, "deb", (["update"], ["download", *_PACKAGES]))
    return sorted((work / "packages").glob("*.deb"))


def _fetch(work: Path, kind: str, commands: Sequence[Sequence[str]]) -> None:
    """Run commands of apt-get, of the first mirror with which they succeed."""
    mirrors = _mirrors()
    if not mirrors:
        raise _no_vm(
            "apt on this machine names no Debian mirror",
            "add one, a URI that ends in /debian, to its sources")
    said, architecture = "", "arch=i386 " if kind == "deb" else ""
    for mirror in mirrors:
        sources = work / "sources.list"
        sources.write_text(
            f"{kind} [{architecture}signed-by={_KEYRING}] {mirror} {_SUITE} main\n", encoding="utf-8")
        for command in commands:
            run = _apt(work, sources, command)
            if run.returncode:
                said = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
                break
        else:
            return
    raise _no_vm(f"apt-get {command[0]} failed: {said}", "check the network, or apt's configuration")


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
        raise _no_vm(
            f"{_SUITE} has another micropython than {VERSION} by now, sha256 {vm}",
            "look at it, then pin it in slotbench/micropython_vm.py")
    (into / "root").mkdir(parents=True)
    for path in packages:
        run = subprocess.run(
            ["dpkg-deb", "-x", path, into / "root"], capture_output=True, text=True, check=False)
        if run.returncode:
            raise _no_vm(f"{path.name} cannot be unpacked: {run.stderr.strip()}", "try it again")
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    (into / _RECORD).write_text("".join(lines), encoding="utf-8")


def _trouble(root: Path) -> tuple[str, str] | None:
    """Why the VM under `root` does not run here, and what to do; None if it runs."""
    libraries = root / _LIBRARIES
    loader, program = libraries / "ld-linux.so.2", root / "usr/bin/micropython"
    command: list[str | Path] = [loader, "--library-path", libraries, program, "-c", "print(6 * 7)"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as e:
        return f"no 32-bit x86 programs run here ({e.strerror})", "a kernel with IA32 emulation runs them"
    if run.stdout == "42\n":
        return None
    return f"it does not run: {run.stderr.strip() or run.returncode}", "get it again: --again"
