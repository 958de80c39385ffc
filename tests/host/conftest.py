"""Fixtures of the host tests: firmware images, a product's keys, the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.routing import Rule

from slotbench import cli
from slotbench.boards import load as load_board
from slotbench.release.build import build_release
from slotbench.release.store import Store
from support.commands import CommandResult, MakeRelease, RunCommand
from support.samples import NOW, PRODUCT, VECTOR_KEYS, KeyRing, make_firmware, write_ring


@pytest.fixture(scope="session", autouse=True)
def compiled_rules() -> Iterator[None]:
    """Each application has the same addresses: what builds them is compiled once, and not for each test."""
    make, made = Rule._compile_builder, dict[object, Callable[..., tuple[str, str]]]()

    def keeping(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (*rule._trace, *(rule.defaults or {}).items(), append_unknown)
        if key not in made:
            made[key] = make(rule, append_unknown)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", keeping)
        yield


@pytest.fixture(scope="session")
def firmware() -> bytes:
    """An image with a last block that is not full, as MicroPython's default build has; a sixth as long."""
    return make_firmware(101_292)


@pytest.fixture
def firmware_file(tmp_path: Path, firmware: bytes) -> Path:
    path = tmp_path / "firmware.bin"
    path.write_bytes(firmware)
    return path


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """The committed test keys as the keys of a product. Generating new ones would take seconds."""
    folder = tmp_path / "keys"
    folder.mkdir()
    paths = {}
    for name in ("offline", "online", "stranger"):
        paths[name] = folder / f"{name}.pem"
        paths[name].write_bytes((VECTOR_KEYS / f"test-only-{name}.pem").read_bytes())
        paths[name].chmod(0o600)
    return write_ring(paths, folder / f"{PRODUCT}.keys")


@pytest.fixture
def site(tmp_path: Path) -> Store:
    """A site whose folder does not exist yet."""
    return Store(tmp_path / "www")


@pytest.fixture
def make_release(tmp_path: Path, firmware: bytes, ring: KeyRing) -> MakeRelease:
    """Build a release for generic_4m and sign it, by default with the offline key; return its path."""

    def make_release(
        counter: int = 7, *, key: str = "offline", data: bytes = firmware, fs_version: int | None = None,
        **fields: Any,
    ) -> Path:
        fields = {"product": PRODUCT, "channels": ("stable", "beta")} | fields
        release = build_release(data, boards=[load_board("generic_4m")], counter=counter, created=NOW, **fields)
        if fs_version is not None:
            release = replace(release, fs_version=fs_version)
        path = tmp_path / f"{counter}-{key}.release"
        path.write_bytes(ring.load(key).sign(release.to_payload()).pack())
        return path

    return make_release


@pytest.fixture
def slotbench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Run the command line in this process, at the time NOW."""
    monkeypatch.setattr("time.time", lambda: float(NOW))
    monkeypatch.delenv("SLOTBENCH_PASSPHRASE", raising=False)

    def run(*arguments: object) -> CommandResult:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return CommandResult(code, captured.out, captured.err)

    return run
