"""Owns .venv: makes it, keeps it in step with setup.cfg, and runs the tools in it.

Run by whatever python3 the machine has: standard library only, in a syntax that an old Python parses far
enough to say that it is too old.
"""
import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "twoslot needs Python 3.11 or later, and this python3 is %d.%d (%s); "
        "put a newer one first on the PATH\n"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )
    sys.exit(2)

import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import fast_install

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
_STAMP = VENV / "twoslot-stamp.json"
_LOCK = ROOT / ".venv.lock"
_MAKING = "making"
_ENVIRONMENT = 2  # exit code: usage or environment
_INTERRUPTED = 130
_MEMORY_BYTES = 4 * 1024 ** 3
_FAILED = 1  # pytest's exit code: all tests ran, some failed
_SECOND_TRY = "TWOSLOT_SECOND_TRY"
_MOST_AGAIN = 5


class SetupError(Exception):
    """Why there is no .venv to run in; the text says what to do."""


def ensure(extra: str = "") -> None:
    """Make .venv, or bring it up to date, so that the project and this extra of setup.cfg are installed.

    Safe when several start at once: one works, the others wait for it.
    """
    with _lock() as lock:
        stamp = _read_stamp()
        if stamp.key == _key() and extra in ("", *stamp.extras) and _works():
            return
        _say("setting up %s (once; a minute or two)" % VENV.name)
        # While a new one is made the lock file says so: one that was cut short is made anew, not mended.
        if lock.read() == _MAKING or not _usable(stamp):
            _make(lock)
        _STAMP.unlink(missing_ok=True)
        wanted = sorted({*stamp.extras, extra} - {""})
        _install(wanted)
        if not _works():
            raise SetupError("slotbench was installed into %s but cannot be imported; remove %s and run again"
                             % (VENV, VENV))
        text = json.dumps({"key": _key(), "extras": wanted, "venv": str(VENV)})
        _STAMP.write_text(text, encoding="utf-8")
        _mark(lock, "")


@contextlib.contextmanager
def _lock() -> Iterator[TextIO]:
    try:
        lock = _LOCK.open("a+", encoding="utf-8")
    except OSError as e:
        raise SetupError("%s cannot be written: %s; make the folder writable" % (_LOCK, e.strerror)) from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("waiting for another one that is setting up %s" % VENV.name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        yield lock


def _mark(lock: TextIO, text: str) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(text)
    lock.flush()


def _key() -> str:
    digest = hashlib.sha256()
    for name in ("setup.cfg", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


class _Stamp(NamedTuple):
    """What was installed into .venv, and where that was; all empty when nobody knows."""

    key: str = ""
    extras: Sequence[str] = ()
    venv: str = ""


def _read_stamp() -> _Stamp:
    try:
        return _Stamp(**json.loads(_STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Stamp()


def _works() -> bool:
    answer = _ask("import slotbench; print(slotbench.__file__)")
    return answer == str(ROOT / "host" / "slotbench" / "__init__.py")


def _usable(stamp: _Stamp) -> bool:
    if not VENV.exists() and not VENV.is_symlink():
        return False
    if not (VENV / "pyvenv.cfg").is_file() or VENV.is_symlink():
        raise SetupError("%s is not a virtual environment of this tree; move it away" % VENV)
    # The commands in a venv name its place in their first lines: it does not survive a move.
    return stamp.venv in ("", str(VENV)) and _ask("import pip, sys; print(sys.prefix)") == str(VENV)


def _ask(code: str) -> str:
    try:
        run = subprocess.run([PYTHON, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""


def _make(lock: TextIO) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        _install_ensurepip()
    _mark(lock, _MAKING)
    shutil.rmtree(VENV, ignore_errors=True)
    # This python3 may itself be the one of the .venv that was just removed.
    base = getattr(sys, "_base_executable", sys.executable)
    run = subprocess.run([base, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if run.returncode:
        sys.stderr.write(run.stdout + run.stderr)
        raise SetupError("%s cannot be made: %s -m venv failed as above; mend that and run again"
                         % (VENV, base))


def _install_ensurepip() -> None:
    """Debian keeps ensurepip, without which a venv has no pip, in a package of its own."""
    missing = "python3 cannot make virtual environments: the package python3-venv is missing"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0 or os.environ.get("TWOSLOT_NO_APT") == "1":
        raise SetupError(missing + "; install it (apt-get install python3-venv) and run again")
    _say(missing + "; installing it")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ("update", "install"):
        packages = ["--no-install-recommends", "python3-venv"] if command == "install" else []
        run = subprocess.run([apt, "-qq", "-y", command, *packages], env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if run.returncode:
            sys.stderr.write(run.stdout)
            raise SetupError("apt-get %s failed as above; install python3-venv by hand and run again"
                             % command)
    importlib.invalidate_caches()
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError("%s has no ensurepip, and python3-venv did not bring it; use Debian's own python3"
                         % sys.executable)


def _install(extras: Sequence[str]) -> None:
    what = ".[%s]" % ",".join(extras) if extras else "."
    # A pip that is configured to install for the user refuses to work in a venv.
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")} | {"PIP_USER": "0"}
    # Few packages are quicker with pip than with a uv that must be fetched first.
    if "test" in extras and fast_install.install(PYTHON, ["--editable", what], ROOT, env):
        return
    run = subprocess.run(
        # Bytecode is made of what is imported, when it is: all of it takes a third of the time.
        [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
         "--no-compile", "--editable", what], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False)
    if run.returncode:
        raise SetupError("pip could not install what setup.cfg names, as above; "
                         "check the network, or the mirror and proxy in pip's configuration, and run again")


def _say(text: str) -> None:
    sys.stderr.write("%s: %s\n" % (Path(sys.argv[0]).name, text))
    sys.stderr.flush()


class _Parts:
    """Runs one part after another and says at the end how long each took."""

    def __init__(self) -> None:
        self.times: list[str] = []
        self.begun = time.monotonic()

    def done(self, name: str) -> None:
        now = time.monotonic()
        self.times.append("%s %.1f s" % (name, now - self.begun))
        self.begun = now

    def run(self, name: str, command: Sequence[str | Path], cwd: Path | None = None) -> int:
        child = subprocess.Popen(command, cwd=cwd)
        try:
            code = child.wait()
        except KeyboardInterrupt:
            # The child got the same Ctrl-C and ends by itself, in its own way.
            child.wait()
            code = _INTERRUPTED
        self.done(name)
        return code if code >= 0 else 128 - code


def _demo(parts: _Parts, args: Sequence[str]) -> int:
    return parts.run("demo", [VENV / "bin" / "slotbench", "demo", *args])


def _check(parts: _Parts, args: Sequence[str]) -> int:
    return parts.run("check", [PYTHON, "-m", "checks", *args], cwd=ROOT / "tools")


def _test(parts: _Parts, args: Sequence[str]) -> int:
    checked = 0
    _write_to_memory()
    # Without it the tests that need it are skipped, and say so.
    parts.run("micropython", [PYTHON, ROOT / "tools" / "get-micropython", "--quiet"])
    parts.run("images", [PYTHON, ROOT / "tools" / "get-images", "--quiet"])
    if not _selects(args):
        checked = _check(parts, () if "--whole" in args else ("--sampled",))
        if checked == _INTERRUPTED:
            return checked
        # All of them, on every core; no test needs what another left.
        args = ["-n", "auto", "--dist", "worksteal", *args]
    # What tests that passed wrote is removed at once: flashes of 4 MB.
    removed = ("-o", "tmp_path_retention_policy=failed")
    # A plugin that nobody uses, and that looks at each test.
    unused = ("-p", "no:anyio")
    tested = parts.run("tests", [PYTHON, "-m", "pytest", *removed, *unused, *args], cwd=ROOT)
    return _try_again(parts, tested) or checked


def _try_again(parts: _Parts, tested: int) -> int:
    """Where CI asks for it, run the few tests that failed once more, alone; returns pytest's exit code.

    A busy machine can fail a test that is right. One that passes at the second try is named, so that
    somebody mends it; one that fails twice is a failure. Many failures are no chance, and stand.
    """
    if tested != _FAILED or os.environ.get(_SECOND_TRY) != "1":
        return tested
    failed = _last_failed()
    if not 0 < len(failed) <= _MOST_AGAIN:
        return tested
    _say("%d failed; run once more, alone" % len(failed))
    again = parts.run(
        "second try", [PYTHON, "-m", "pytest", "--last-failed", "--last-failed-no-failures=none"], cwd=ROOT)
    if again == 0:
        for name in failed:
            _say("passed only at the second try, which must be mended: %s" % name)
    return again


def _last_failed() -> Sequence[str]:
    try:
        return sorted(json.loads((ROOT / ".pytest_cache/v/cache/lastfailed").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return ()


def _write_to_memory() -> None:
    """Let tests write to memory, where it has a folder with room: they make tens of thousands of files."""
    folder = "/dev/shm"
    try:
        found = os.statvfs(folder)
    except OSError:
        return
    has_room = found.f_bavail * found.f_frsize >= _MEMORY_BYTES
    if has_room and not found.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK | os.X_OK):
        os.environ.setdefault("TMPDIR", folder)


def _selects(args: Sequence[str]) -> bool:
    """True when pytest's arguments choose some tests, or none: then the gates are not what is asked for."""
    chooses = ("--lf", "--last-failed", "--sw", "--stepwise", "--co", "--collect-only", "-h", "--help")
    return any(not arg.startswith("-") or arg.startswith(("-k", "-m")) or arg in chooses for arg in args)


_TOOLS = {"demo": ("", _demo), "test": ("test", _test), "check": ("test", _check)}


def main(name: str, args: Sequence[str]) -> int:
    """Run a tool in .venv with these arguments; returns its exit code, 2 when .venv could not be had."""
    extra, tool = _TOOLS[name]
    parts = _Parts()
    try:
        ensure(extra)
    except SetupError as e:
        _say(str(e))
        return _ENVIRONMENT
    except KeyboardInterrupt:
        return _INTERRUPTED
    parts.done("set-up")
    # Tests start hundreds of processes: each one would compile all modules again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    code = tool(parts, args)
    _say(", ".join(parts.times))
    _say("CPU %.0f s" % _cpu_s())
    return code


def _cpu_s() -> float:
    """User and system seconds of all processes that this one waited for, and that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
