"""slotbench.release.summaries: a list of many documents is fast the second time, and never older than the files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench.formats import document
from slotbench.release.store import Store
from slotbench.release.summaries import RELEASE, Summary, cache_file, summarize
from support.commands import MakeRelease
from support.samples import KeyRing

LATER_NS = 1 << 62
"""Long after all files were written."""

Summarize = Callable[..., dict[str, Summary]]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "summaries.json"


@pytest.fixture
def releases(site: Store, make_release: MakeRelease) -> list[Path]:
    """Two of them, in the site."""
    paths = []
    for counter in (1, 2):
        data = make_release(counter, version=f"{counter}.0").read_bytes()
        digest = document.split_document(data).digest
        site.write(f"releases/{digest}.release", data)
        paths.append(site.path(f"releases/{digest}.release"))
    return paths


@pytest.fixture
def summaries(site: Store, ring: KeyRing, cache: Path, releases: list[Path]) -> Summarize:
    def run(now_ns: int = LATER_NS, keep_from: int = 2) -> dict[str, Summary]:
        return summarize(site, ring.keys, cache, keep_from=keep_from, now_ns=now_ns)

    return run


def put_other_words(cache: Path) -> None:
    """Have the cache say of each document what no file says."""
    kept = json.loads(cache.read_bytes())
    for _, fields in kept.values():
        fields["version"] = "kept"
    cache.write_text(json.dumps(kept))


def versions(found: dict[str, Summary]) -> list[str]:
    return sorted(summary.version for summary in found.values())


def test_what_did_not_change_is_not_read_again(summaries: Summarize, releases: list[Path], cache: Path) -> None:
    assert summaries()[releases[0].stem] == Summary(RELEASE, 1, "1.0", ("stable", "beta"))
    put_other_words(cache)

    assert versions(summaries()) == ["kept", "kept"]


def test_a_file_that_changed_is_read_again(summaries: Summarize, releases: list[Path], cache: Path) -> None:
    """Also one of the same length, at the same time."""
    summaries()
    put_other_words(cache)
    stat = releases[0].stat()
    os.utime(releases[0], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert versions(summaries()) == ["1.0", "kept"]

    put_other_words(cache)
    other = releases[0].with_suffix(".other")
    other.write_bytes(releases[0].read_bytes().replace(b'"version":"1.0"', b'"version":"9.0"'))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert other.stat().st_size == stat.st_size
    other.rename(releases[0])
    assert versions(summaries()) == ["kept"], "what nobody signed is taken for a release"


def test_a_file_that_is_gone_is_forgotten(summaries: Summarize, releases: list[Path], cache: Path) -> None:
    summaries(keep_from=1)
    releases[1].unlink()

    assert versions(summaries(keep_from=1)) == ["1.0"]
    assert len(json.loads(cache.read_bytes())) == 1


def test_what_was_written_just_now_is_not_kept(summaries: Summarize, releases: list[Path], cache: Path) -> None:
    changed_ns = max(path.stat().st_ctime_ns for path in releases)
    assert versions(summaries(now_ns=changed_ns + 1_000_000_000)) == ["1.0", "2.0"]
    assert not cache.exists() or not json.loads(cache.read_bytes())


@pytest.mark.parametrize("content", [
    b"", b"[]", b"{", b'{"release/x": 1}', b'{"release/x": [[1, 2, 3], null]}',
    b'{"release/x": [[1, 2, 3, 4], {"kind": "release"}]}', b"\xff"])
def test_a_damaged_cache_is_made_anew(content: bytes, summaries: Summarize, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content)

    assert versions(summaries()) == ["1.0", "2.0"]
    assert len(json.loads(cache.read_bytes())) == 2 and cache.stat().st_mode & 0o077 == 0


def test_few_documents_are_read_each_time(summaries: Summarize, cache: Path) -> None:
    assert versions(summaries(keep_from=3)) == ["1.0", "2.0"] and not cache.exists()


def test_other_keys_and_other_sites_have_caches_of_their_own(
    site: Store, ring: KeyRing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    files = {
        cache_file(site, ring.keys), cache_file(site, replace(ring.keys, epoch=ring.keys.epoch + 1)),
        cache_file(Store(tmp_path), ring.keys)}
    assert len(files) == 3 and all(path.is_relative_to(tmp_path / "user") for path in files)
