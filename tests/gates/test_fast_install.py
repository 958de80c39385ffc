"""uv installs what pip would, from where pip is told to look; where that cannot be said to uv, pip does it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import fast_install
import pytest
from gates.bare import make_venv

INDICES = ["--index-strategy", "unsafe-best-match"]


@pytest.mark.parametrize(("config", "flags", "variables"), [
    ("", [], {}),
    ("global.index-url='https://one.example/simple'", ["--index-url", "https://one.example/simple"], {}),
    ("global.extra-index-url='\\nfile:///a\\nfile:///b'", ["--extra-index-url", "file:///a", "--extra-index-url", "file:///b"], {}),
    ("global.find-links='/a'\n:env:.find-links='/b'", ["--find-links", "/b"], {}),
    (":env:.constraint='/b'\ninstall.constraint='/a'", ["--constraint", "/b"], {}),
    ("install.constraint='/b'\nglobal.constraint='/a'", ["--constraint", "/b"], {}),
    ("list.format='columns'\n:env:.user='0'", [], {}),
    ("global.cert='/c.pem'\nglobal.timeout='60'", [], {"SSL_CERT_FILE": "/c.pem", "UV_HTTP_TIMEOUT": "60"}),
    (":env:.no-cache-dir='1'", ["--no-cache"], {}),
    (":env:.no-cache-dir='off'", [], {}),
    (":env:.index-url=''", [], {}),
])
def test_pips_configuration_is_carried_over(config: str, flags: list[str], variables: dict[str, str]) -> None:
    assert fast_install.translate(config, {}) == ([*INDICES, *flags], variables)


@pytest.mark.parametrize("config", [
    ":env:.no-index='1'", "global.proxy='http://one.example'", ":env:.no-build-isolation='0'", "global.only-binary=':all:'",
    "global.index-url", "global.index-url=https://one.example"])
def test_what_is_not_known_is_left_to_pip(config: str) -> None:
    assert fast_install.translate(config, {}) is None


def test_the_environment_is_pips_and_not_uvs() -> None:
    given = {"HOME": "/h", "UV_INDEX": "https://two.example", "UV_CACHE_DIR": "/c", "REQUESTS_CA_BUNDLE": "/r.pem"}
    wanted = {"HOME": "/h", "UV_CACHE_DIR": "/c", "REQUESTS_CA_BUNDLE": "/r.pem", "SSL_CERT_FILE": "/r.pem"}
    assert fast_install.translate("", given) == (INDICES, wanted)


def make_wheel(folder: Path, name: str, needs: str = "") -> None:
    inside = f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(f'<a href="{name}-1.0-py3-none-any.whl">{name}-1.0-py3-none-any.whl</a>')
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "HERE = True\n")
        archive.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
        archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{inside}/RECORD", "")


def test_from_the_index_that_pip_is_told(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    make_wheel(tmp_path / "simple" / "lamp", "lamp", "Requires-Dist: shade\n")
    make_wheel(tmp_path / "more" / "shade", "shade")
    python = make_venv(tmp_path / "venv")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | {
        "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": (tmp_path / "simple").as_uri(),
        "PIP_EXTRA_INDEX_URL": (tmp_path / "more").as_uri(), "UV_CACHE_DIR": str(tmp_path / "cache")}

    python.with_name("uv").write_text("#!/bin/sh\nexit 1\n")
    python.with_name("uv").chmod(0o755)
    assert not fast_install.install(python, ["lamp"], tmp_path, environment)

    if not uv.is_file():
        pytest.skip("uv could not be had for this .venv: pip made it")
    python.with_name("uv").unlink()
    python.with_name("uv").symlink_to(uv)
    assert fast_install.install(python, ["lamp"], tmp_path, environment)
    assert subprocess.run([python, "-c", "import lamp, shade; assert lamp.HERE"], check=False).returncode == 0
