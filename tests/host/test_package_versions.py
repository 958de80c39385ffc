"""The versions of the two parts that are updated apart: twoslot and its boot hook."""

from __future__ import annotations

import pytest

from slotbench import __version__
from slotbench.images.frozen import version_module
from slotbench.repl.package import frozen_files, hook_file, hook_version, mixed_versions, package_files


def test_the_hook_says_the_version_of_the_package() -> None:
    (hook,) = hook_file().values()
    assert hook_version(hook) == __version__
    assert hook_version(b"# mine\n") is None and hook_version(b"") is None


@pytest.mark.parametrize(("twoslot", "hook", "cure"), [
    ("0.1.0 frozen", "0.1.0", None), ("0.1.0 files", "0.1.0", None), (None, "0.1.0", None),
    ("0.1.0 frozen", None, None), (None, None, None),
    ("0.2.0 files", "0.1.0", "run `slotbench deploy`, which brings both"),
    ("0.10.0 frozen", "0.9.0", "run `slotbench deploy` of version 0.10.0, which brings the hook"),
    ("0.9.0 frozen", "0.10.0", "freeze twoslot 0.10.0 into the next release")])
def test_parts_of_different_versions_are_named_with_the_cure(
    twoslot: str | None, hook: str | None, cure: str | None,
) -> None:
    words = mixed_versions(twoslot, hook)
    assert words == (None if cure is None else f"its version is {hook}, that of twoslot {str(twoslot).split()[0]}: {cure}")


def test_what_a_firmware_freezes_has_no_boot_hook() -> None:
    """Frozen alone, it would be gone with the next firmware that lacks it: a board without a timer."""
    files = frozen_files()
    assert not any("twoslot_boot" in path for path in files) and b"module(" not in files["manifest.py"]
    assert files[version_module(__version__)] == b"" and "twoslot/__init__.py" in files
    modules = {path.removesuffix(".py") for path in files} - {version_module(__version__)[:-3], "manifest"}
    assert modules == {path.removesuffix(".mpy") for path in package_files()}
