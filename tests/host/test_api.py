"""`import slotbench`: what a program gets, how it goes on after an interruption, and what it is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import slotbench
from slotbench import BenchError, Preflight, Stage
from slotbench.project import PROJECT_FILE
from support.samples import NOW, PRODUCT, KeyRing, make_firmware

SMALL = make_firmware(48 * 1024)


@pytest.fixture
def project(tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> slotbench.OpenProject:
    """A project whose offline key has a passphrase, and a firmware beside it."""
    (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "generic_4m"\n')
    (tmp_path / "firmware.bin").write_bytes(SMALL)
    ring.offline.write_bytes(ring.load("offline").to_pem(b"secret"))
    monkeypatch.setattr("time.time", lambda: float(NOW))
    monkeypatch.chdir(tmp_path)
    return slotbench.open_project()


def test_a_firmware_is_built_signed_and_published(project: slotbench.OpenProject) -> None:
    shipment = project.build("firmware.bin", version="2.1", notes="by a script", percent=10, cohorts=["lab"])
    assert (shipment.stage, shipment.release.preflight) == (Stage.BUILT, Preflight.SKIPPED)
    assert shipment.path == Path("releases/sensor-2.release")
    project.sign(shipment, "secret")
    head = project.publish(shipment)
    assert (head.counter, head.percent, head.cohorts) == (2, 10, ("lab",))
    again = project.build("firmware.bin", version="2.1", notes="by a script")
    assert again.is_done
    project.sign(again)  # nothing: no passphrase is needed
    assert project.publish(again) == head


@pytest.mark.parametrize(("line", "count"), [("", 1), ('patches = "0"\n', 0)])
def test_a_second_firmware_has_patches_as_the_project_says(
    line: str, count: int, project: slotbench.OpenProject, tmp_path: Path,
) -> None:
    with (tmp_path / PROJECT_FILE).open("a") as file:
        file.write(line)
    project = slotbench.open_project()
    for banner in ("v1.25.0", "v1.26.0"):
        (tmp_path / "firmware.bin").write_bytes(make_firmware(48 * 1024, banner=banner))
        shipment = project.build("firmware.bin")
        project.sign(shipment, "secret")
        project.publish(shipment)
        assert all(("patch" in image.encodings) == bool(count) for image in shipment.release.images.values())
    patches = [path.name for path in (tmp_path / "site").glob("patches/*.patch")]
    assert sum("-" in name for name in patches) == count


def test_a_program_is_published_alone_and_with_a_firmware(project: slotbench.OpenProject, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("import twoslot\n")
    alone = project.build_application("app", version="1.0", percent=10)
    assert (alone.stage, alone.path) == (Stage.BUILT, Path("releases/sensor-app-2.application"))
    project.sign(alone, "secret")
    head = project.publish(alone)
    assert (head.counter, head.app_counter, head.percent) == (0, 2, 10)
    assert project.publish(project.build_application("app", version="1.0")) == head
    (tmp_path / "app" / "main.py").write_text("import twoslot  # brighter\n")
    firmware = project.build("firmware.bin", version="2.1")
    program = project.build_application("app", firmware=firmware)
    assert program.application.firmware_low == firmware.release.counter
    for shipment in (firmware, program):
        project.sign(shipment, "secret")
    head = project.publish(firmware, application=program)
    assert (head.counter, head.app_counter, head.percent) == (2, 3, 100)


def test_it_goes_on_where_an_interrupted_program_ended(project: slotbench.OpenProject) -> None:
    first = project.build("firmware.bin", is_tried=True)
    assert first.release.preflight is Preflight.BENCH
    project.sign(first, "secret")
    second = slotbench.open_project(".").build(Path("firmware.bin"))
    assert (second.stage, second.release.counter) == (Stage.SIGNED, 2)
    assert project.publish(second).counter == 2


def test_a_refusal_says_what_where_and_what_to_do(project: slotbench.OpenProject, tmp_path: Path) -> None:
    shipment = project.build("firmware.bin")
    for passphrase, what in ((None, "key has a passphrase"), ("wrong", "wrong passphrase")):
        with pytest.raises(BenchError) as caught:
            project.sign(shipment, passphrase)
        assert (caught.value.what, caught.value.where, caught.value.exit_code) == (what, "keys/offline.pem", 2)
        assert caught.value.cure
    with pytest.raises(BenchError, match="release file|not signed|no signature|sign"):
        project.publish(shipment)
    Path("notes.txt").write_text("no firmware")
    with pytest.raises(BenchError, match="not an ESP8266 image"):
        project.build("notes.txt")
    with pytest.raises(BenchError, match="cannot read .*nowhere"):
        slotbench.open_project("nowhere")


def test_a_file_is_identified_by_path_or_bytes(project: slotbench.OpenProject) -> None:
    assert slotbench.identify("firmware.bin") == slotbench.identify(SMALL)
    assert slotbench.identify(SMALL).problem is None
    assert "ESP8266" in str(slotbench.identify(b"nothing").problem)
    with pytest.raises(BenchError, match="cannot read"):
        slotbench.identify("no-such-file.bin")


def test_what_is_named_is_there_and_is_imported_when_it_is_used() -> None:
    for name in slotbench.__all__:
        assert getattr(slotbench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(slotbench, "nothing")
    code = "import slotbench, sys; print('slotbench.api' in sys.modules, 'cryptography' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "False False\n"
