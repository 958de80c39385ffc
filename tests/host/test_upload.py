"""A site is copied to a static host or an object store (`release.upload`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import fsspec
import pytest

from slotbench.errors import BenchError
from slotbench.formats.head import Head
from slotbench.release import upload as upload_module
from slotbench.release.publish import publish_release, refresh_heads
from slotbench.release.store import Store
from slotbench.release.upload import upload_site
from support.commands import MakeRelease, RunCommand
from support.samples import NOW, KeyRing, files_below


@pytest.fixture
def published(site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes) -> Store:
    publish_release(site, make_release(7), ring.document, [firmware], ring.load("online"), NOW)
    (site.root / "heads/sensor/stable.withdrawn").write_text("")
    (site.root / "notes.txt").write_text("no file of a site")
    return site


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"file://{tmp_path}/copy"


@pytest.fixture
def refresh(site: Store, ring: KeyRing) -> Callable[[int], Head]:
    return lambda now: refresh_heads(site, ring.document, ring.load("online"), now)[0]


def test_heads_come_last_and_only_files_of_the_site(published: Store, target: str, tmp_path: Path) -> None:
    done = upload_site(published, target)
    assert [name.partition("/")[0] for name in done.written] == ["blocks", "images", "releases", "keys", "heads"]
    assert files_below(tmp_path / "copy") == set(done.written)
    for name in done.written:
        assert (tmp_path / "copy" / name).read_bytes() == published.read(name)


def test_what_is_there_is_not_sent_again(
    published: Store, target: str, refresh: Callable[[int], Head],
) -> None:
    upload_site(published, target)
    done = upload_site(published, target)
    assert (done.written, done.kept) == ((), 5)
    refresh(NOW + 60)
    assert upload_site(published, target).written == ("heads/sensor/stable.head",)


def test_a_copy_that_was_interrupted_is_completed_and_shows_no_head_before(
    published: Store, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as failing:
        def fail(path: Path, data: bytes) -> None:
            if path.suffix == ".release":
                raise OSError(28, "No space left on device")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        failing.setattr(upload_module, "write_atomic", fail)
        with pytest.raises(BenchError, match="the copy is not complete") as refused:
            upload_site(published, target)
    assert "No space left" in refused.value.what and not (tmp_path / "copy/heads").exists()
    assert [name.partition("/")[0] for name in upload_site(published, target).written] == ["releases", "keys", "heads"]


def test_an_old_copy_replaces_no_newer_head(
    published: Store, target: str, refresh: Callable[[int], Head], tmp_path: Path,
) -> None:
    old = published.path("heads/sensor/stable.head").read_bytes()
    refresh(NOW + 60)
    upload_site(published, target)
    published.path("heads/sensor/stable.head").write_bytes(old)
    with pytest.raises(BenchError, match="there is newer"):
        upload_site(published, target)
    assert (tmp_path / "copy/heads/sensor/stable.head").read_bytes() != old
    assert upload_site(published, target, is_forced=True).written == ("heads/sensor/stable.head",)


def test_a_damaged_file_is_not_copied(published: Store, target: str) -> None:
    image = next((published.root / "images").iterdir())
    image.write_bytes(b"x")
    with pytest.raises(BenchError, match="content does not match its name"):
        upload_site(published, target)


def test_another_file_system_is_written_to(published: Store) -> None:
    url = f"memory://twoslot-{id(published)}/lamps"
    assert len(upload_site(published, url).written) == 5
    files, root = fsspec.core.url_to_fs(url)
    assert files.cat_file(f"{root}/heads/sensor/stable.head") == published.read("heads/sensor/stable.head")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for key, value in {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "FSSPEC_S3_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(key, value)
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.filterwarnings("ignore")
def test_an_object_store_has_the_headers_of_caches(published: Store, s3: str) -> None:
    import boto3
    import s3fs

    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="updates")
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::updates/*"}
    client.put_bucket_policy(
        Bucket="updates", Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    s3fs.S3FileSystem.clear_instance_cache()
    done = upload_site(published, "s3://updates/lamps")
    for name in done.written:
        found = client.head_object(Bucket="updates", Key=f"lamps/{name}")
        assert found["CacheControl"] == ("no-cache" if name.startswith(("heads/", "keys/")) else upload_module.IMMUTABLE)
    assert upload_site(published, "s3://updates/lamps").kept == 5
    image = next(name for name in done.written if name.startswith("images/"))
    asked = Request(f"{s3}/updates/lamps/{image}", headers={"Range": "bytes=4096-8191"})
    with urlopen(asked, timeout=10) as answer:  # as a board asks: plain HTTP, no login
        assert answer.status == 206 and answer.read() == (published.read(image) or b"")[4096:8192]
        assert answer.headers["Content-Range"].startswith("bytes 4096-8191/")


def test_the_verb_says_what_it_did(
    slotbench: RunCommand, published: Store, target: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = slotbench("release", "upload", published.root, target)
    assert ran.code == 0 and ran.out.endswith(f"{target}: 5 files written, 0 were there\n")
    assert ran.out.splitlines()[-2] == "heads/sensor/stable.head"
    for url, said in {
        "site": "is no URL", "nothing://x": "nothing here writes to nothing://",
        "file:///proc/none": "cannot write",
    }.items():
        ran = slotbench("release", "upload", published.root, url)
        assert ran.code == 2 and said in ran.err, ran.err
    monkeypatch.setattr(upload_module, "find_spec", lambda name: None)
    assert "pip install 'twoslot[upload]'" in slotbench("release", "upload", published.root, target).err
