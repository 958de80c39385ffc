"""Installs into .venv with uv, which does in seconds of processor time what takes pip forty.

pip stays the authority: its configuration is carried over word by word. A word that is not known here leaves
the work to pip, and so does a uv that cannot be had or fails. Standard library only.
"""

import ast
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_UV = "uv >= 0.5"

# pip's words that name a source, and uv's flag for each value.
_FLAGS = {
    "constraint": "--constraint",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "index-url": "--index-url",
    "trusted-host": "--allow-insecure-host",
}
_VARIABLES = {"cert": "SSL_CERT_FILE", "default-timeout": "UV_HTTP_TIMEOUT", "timeout": "UV_HTTP_TIMEOUT"}
# Words that change nothing of what is installed.
_NO_MATTER = frozenset((
    "break-system-packages", "cache-dir", "config-file", "disable-pip-version-check", "log", "no-color",
    "no-compile", "no-input", "no-python-version-warning", "no-warn-conflicts", "no-warn-script-location",
    "progress-bar", "quiet", "require-virtualenv", "retries", "root-user-action", "user", "verbose",
))
_SECTIONS = ("global", "install", ":env:")


def install(python: Path, what: Sequence[str], folder: Path, env: Mapping[str, str]) -> bool:
    """Install what `pip install` with these arguments would, in this folder; False when pip is to do it.

    `python` is that of the environment, `env` what pip would get.
    """
    # Without an index nothing is fetched, and there may be no uv to have.
    config = None if env.get("PIP_NO_INDEX") else _pip(python, ["config", "list"], folder, env)
    translated = None if config is None else translate(config, env)
    if translated is None:
        return False
    flags, variables = translated
    uv = python.with_name("uv")
    if not uv.is_file():
        get = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-deps",
               "--retries", "1", "--only-binary", ":all:", _UV]
        if _pip(python, get, folder, env) is None or not uv.is_file():
            return False
    command = ["pip", "install", "--quiet", "--no-config", "--python", str(python)]
    run = subprocess.run([uv, *command, *flags, *what], cwd=folder, env=variables, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return run.returncode == 0


def _pip(python: Path, arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> str | None:
    """What this pip prints; None when it fails."""
    run = subprocess.run([python, "-m", "pip", *arguments], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return run.stdout if run.returncode == 0 else None


def translate(config: str, env: Mapping[str, str]) -> tuple[list[str], dict[str, str]] | None:
    """Return uv's flags and variables for what `pip config list` printed; None where uv has no such word."""
    words = _words(config)
    if words is None or not words.keys() <= _FLAGS.keys() | _VARIABLES.keys() | _NO_MATTER | {"no-cache-dir"}:
        return None
    # With pip every index counts alike. uv's own rule is another: the first one that has the package.
    flags = ["--index-strategy", "unsafe-best-match"]
    variables = {
        name: value for name, value in env.items() if not name.startswith("UV_") or name == "UV_CACHE_DIR"}
    if authorities := env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE"):
        variables["SSL_CERT_FILE"] = authorities
    for word, value in words.items():
        if word in _FLAGS:
            for each in value.split():
                flags += [_FLAGS[word], each]
        elif word in _VARIABLES:
            variables[_VARIABLES[word]] = value
        elif word == "no-cache-dir" and value.lower() not in ("0", "false", "no", "off"):
            flags.append("--no-cache")
    return flags, variables


def _words(config: str) -> dict[str, str] | None:
    """pip's words as `pip install` sees them: those for it alone beat general ones, variables beat both."""
    sections: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in config.splitlines():
        name, _, value = line.partition("=")
        section, _, word = name.rpartition(".")
        try:
            text = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            return None
        if section in sections and text:
            sections[section][word] = str(text)
    return {word: text for section in _SECTIONS for word, text in sections[section].items()}
