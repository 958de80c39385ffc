"""Patches of applications: which are worth making, what they hold, where they lie, and what `ship` says of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.formats import FormatError
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.application_patch import NOTHING, PATCHES_MAX, apply_application_patch, base_name
from slotbench.mpy import compile_mpy
from slotbench.patch.application import changed_files, make_application_patch
from slotbench.project import PROJECT_FILE
from slotbench.release.application_patches import application_patches, with_patches
from slotbench.release.applications import build_application
from slotbench.release.publish import publish_offer
from slotbench.release.store import Store, application_patch_name, is_name
from support.commands import RunCommand
from support.samples import NOW, PRODUCT, KeyRing

MAIN = b"import lamp\nlamp.run()\n"
SHOWS = "def shine_{n}(level):\n    print('lamp', {n}, level, 'of {n}')\n    return level + {n}\n"


def lamp(count: int = 30, shade: int = 1) -> bytes:
    """A module of some functions, as bytecode."""
    text = f"SHADE = {shade}\n" + "".join(SHOWS.format(n=n) for n in range(count))
    return compile_mpy("lamp.py", text.encode())


def noise(seed: int, size: int = 2000) -> bytes:
    return random.Random(seed).randbytes(size)


OLD = {"lamp.mpy": lamp(), "logo.bin": noise(1), "main.py": MAIN}


@pytest.mark.parametrize("new", [
    OLD | {"lamp.mpy": lamp(shade=2)}, OLD | {"lamp.mpy": lamp(29)}, OLD | {"lamp.mpy": lamp(31)},
    OLD | {"logo.bin": noise(1)[:900] + b"x" + noise(1)[900:]}, OLD | {"logo.bin": noise(2)},
    OLD | {"logo.bin": b""}, OLD | {"fan.mpy": lamp(3), "lib/off.txt": b"off"}, {"main.py": MAIN}, OLD,
], ids=["constant", "shorter", "longer", "inserted", "other", "empty", "new", "removed", "same"])
@pytest.mark.parametrize("old", [OLD, {}], ids=["patched", "from nothing"])
def test_a_patch_makes_what_changed(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> None:
    patch = make_application_patch(old, new)
    assert apply_application_patch(old, Bundle(new, 0).file_list, patch) == changed_files(old, new)


def test_what_a_change_costs() -> None:
    """A constant that changes takes some bytes, a function that goes away the names behind it."""
    whole = len(OLD["lamp.mpy"])
    assert len(make_application_patch(OLD, OLD | {"lamp.mpy": lamp(shade=2)})) < 30
    assert len(make_application_patch(OLD, OLD | {"lamp.mpy": lamp(29)})) < whole / 10
    assert len(make_application_patch({}, {"lamp.mpy": OLD["lamp.mpy"]})) < whole * 0.6


def document(files: Mapping[str, bytes], counter: int) -> tuple[ApplicationDocument, Bundle]:
    bundle = Bundle(files, 6)
    return build_application(
        bundle, product=PRODUCT, boards=[boards.load("generic_4m")], version="1", counter=counter, created=NOW), bundle


@pytest.fixture
def site(tmp_path: Path) -> Store:
    return Store(tmp_path / "site")


@pytest.fixture
def publish(tmp_path: Path, ring: KeyRing, site: Store) -> Callable[..., tuple[ApplicationDocument, Bundle]]:
    def published(files: Mapping[str, bytes], counter: int, patches: int = 3) -> tuple[ApplicationDocument, Bundle]:
        made, bundle = document(files, counter)
        made = with_patches(made, bundle, patches, (site, ring.keys))
        path = tmp_path / f"{counter}.application"
        path.write_bytes(ring.load("offline").sign(made.to_payload()).pack())
        publish_offer(site, ring.document, ring.load("online"), NOW + counter, application=(path, bundle))
        return made, bundle

    return published


def test_the_last_applications_are_bases(
    site: Store, publish: Callable[..., tuple[ApplicationDocument, Bundle]], ring: KeyRing,
) -> None:
    lists = [publish(OLD | {"lamp.mpy": lamp(shade=n)}, n)[1].list_sha256 for n in range(1, 5)]
    made, bundle = publish(OLD | {"lamp.mpy": lamp(shade=9)}, 5)

    assert made.patches_from == (NOTHING, *map(base_name, (lists[3], lists[2], lists[1])))
    for base in made.patches_from:
        assert site.read(application_patch_name(bundle.list_sha256, base))
    assert {each.counter for each in application_patches(site, ring.keys, made, bundle)} == {None, 2, 3, 4}


def test_what_saves_too_little_is_left_out(
    site: Store, publish: Callable[..., tuple[ApplicationDocument, Bundle]],
) -> None:
    """Noise cannot be deflated; and a patch of a file of 200 bytes is not worth loading a decoder."""
    small = {"main.py": MAIN, "off.txt": bytes(200)}
    assert publish({"main.py": MAIN, "logo.bin": noise(3)}, 1)[0].patches_from == ()
    assert publish(small, 2)[0].patches_from == ()
    assert publish(small | {"off.txt": bytes(900)}, 3)[0].patches_from[0] == NOTHING
    assert publish(small | {"off.txt": bytes(901)}, 4, 0)[0].patches_from == ()


def test_no_more_bases_than_a_document_may_name(
    publish: Callable[..., tuple[ApplicationDocument, Bundle]],
) -> None:
    text = b"lamp " * 400
    for counter in range(1, 19):
        made, _ = publish({"main.py": MAIN, "text": text + b"%d" % counter}, counter, 20)
    assert len(made.patches_from) == PATCHES_MAX and made.patches_from[0] == NOTHING


def test_a_base_without_its_files_is_none(
    site: Store, publish: Callable[..., tuple[ApplicationDocument, Bundle]], ring: KeyRing,
) -> None:
    """Also when they go away between building and publishing: boards fetch the files then."""
    publish(OLD, 1)
    made, bundle = publish(OLD | {"lamp.mpy": lamp(shade=2)}, 2)
    for path in (site.root / "files").iterdir():
        path.unlink()
    assert [each.base for each in application_patches(site, ring.keys, made, bundle)] == [NOTHING]
    assert with_patches(replace_counter(made), bundle, 3, (site, ring.keys)).patches_from == (NOTHING,)


def replace_counter(made: ApplicationDocument) -> ApplicationDocument:
    return ApplicationDocument.from_payload(made.to_payload().replace(b'"counter":2', b'"counter":3'))


@pytest.mark.parametrize("value", ["[]", '["00"]', "[1]", '"00000000000000"'])
def test_a_document_with_another_base_is_refused(value: str) -> None:
    payload = document(OLD, 1)[0].to_payload()
    with pytest.raises(FormatError, match="patches_from|list"):
        ApplicationDocument.from_payload(payload[:-1] + b',"patches_from":' + value.encode() + b"}")


@pytest.mark.parametrize(("name", "is_one"), [
    (application_patch_name("ab" * 32, NOTHING), True), ("patches/" + "ab" * 16 + "-" + "0" * 15 + ".files", False),
    ("patches/" + "ab" * 16 + ".files", False), ("patches/../keys/lamp.files", False)])
def test_names_in_the_site(name: str, is_one: bool) -> None:
    assert is_name(name) is is_one


def test_ship_says_what_a_board_fetches(
    tmp_path: Path, ring: KeyRing, slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "generic_4m"\npatches = "2"\n')
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_bytes(MAIN)
    body = "".join(SHOWS.format(n=n) for n in range(30))
    for shade in (1, 2):
        (tmp_path / "app" / "lamp.py").write_text(f"SHADE = {shade}\n{body}")
        result = slotbench("ship", "--app", "app", "--yes")
        assert result.code == 0, result.err
    assert "program, deflated: " in result.out
    assert "patch from application 2: " in result.out and "in 1 file" in result.out
    again = slotbench("ship", "--app", "app", "--yes")
    assert again.code == 0 and "done before" in again.out
