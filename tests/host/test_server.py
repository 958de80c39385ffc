"""The release server: validators, ranges, caching and refused paths, then the same over real sockets."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from slotbench.errors import BenchError
from slotbench.formats import blocks, document
from slotbench.release import store
from slotbench.release.publish import publish_release
from slotbench.release.store import Store
from slotbench.server import BackgroundServer, app, connections, create_app, require_published
from support.commands import MakeRelease
from support.samples import NOW, KeyRing, make_firmware

HEAD = "/heads/sensor/stable.head"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a site with a release is kept, from the first test that makes one."""
    return tmp_path_factory.mktemp("kept") / "www"


@pytest.fixture
def published(site: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes, kept: Path) -> Store:
    if kept.exists():
        shutil.copytree(kept, site.root)
    else:
        publish_release(site, make_release(), ring.document, [firmware], ring.load("online"), NOW)
        shutil.copytree(site.root, kept)
    return site


@pytest.fixture
def client(published: Store) -> FlaskClient:
    return create_app(published.root).test_client()


@pytest.fixture
def image_url(firmware: bytes) -> str:
    """The image's URL."""
    return f"/images/{hashlib.sha256(firmware).hexdigest()}.bin"


def test_a_whole_image(client: FlaskClient, image_url: str, firmware: bytes) -> None:
    response = client.get(image_url)

    assert (response.status_code, response.data) == (200, firmware)
    assert response.headers["ETag"] == f'"{hashlib.sha256(firmware).hexdigest()}"'
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Length"] == str(len(firmware))
    assert response.headers["Content-Type"] == "application/octet-stream"


def test_a_release_and_a_block_table(
    client: FlaskClient, published: Store, make_release: MakeRelease, firmware: bytes,
) -> None:
    signed = document.split_document(make_release().read_bytes())
    table = blocks.block_table(firmware)

    response = client.get(f"/{store.release_name(signed.digest)}")
    assert response.data == signed.pack()
    assert response.headers["ETag"] == f'"{signed.digest}"'
    assert "immutable" in response.headers["Cache-Control"]
    response = client.get(f"/{store.blocks_name(hashlib.sha256(table).hexdigest())}")
    assert response.data == table


@pytest.mark.parametrize("name", ["heads/sensor/stable.head", "keys/sensor.keys"])
def test_files_that_change_are_revalidated(client: FlaskClient, published: Store, name: str) -> None:
    response = client.get(f"/{name}")

    assert response.data == published.read(name)
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["ETag"] == f'"{hashlib.sha256(response.data).hexdigest()}"'
    assert response.headers["Content-Type"].startswith("text/plain")


def test_head_has_the_length_and_no_body(client: FlaskClient, image_url: str, firmware: bytes) -> None:
    response = client.head(image_url)

    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Length"] == str(len(firmware))


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_methods_that_change_files_are_not_allowed(client: FlaskClient, method: str) -> None:
    assert getattr(client, method)(HEAD).status_code == 405


def test_an_unchanged_head_is_304(client: FlaskClient) -> None:
    etag = client.get(HEAD).headers["ETag"]

    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(HEAD, headers={"If-None-Match": header})
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == etag
        assert response.headers["Cache-Control"] == "no-cache"


def test_a_changed_head_is_200(
    client: FlaskClient, published: Store, make_release: MakeRelease, ring: KeyRing, firmware: bytes,
) -> None:
    etag = client.get(HEAD).headers["ETag"]
    publish_release(published, make_release(), ring.document, [firmware], ring.load("online"), NOW)

    response = client.get(HEAD, headers={"If-None-Match": etag})

    assert response.status_code == 200
    assert response.data == published.read(HEAD[1:])
    assert response.headers["ETag"] != etag


def test_if_none_match_precedes_range(client: FlaskClient, image_url: str) -> None:
    etag = client.get(image_url).headers["ETag"]

    response = client.get(image_url, headers={"If-None-Match": etag, "Range": "bytes=0-3"})

    assert response.status_code == 304


@pytest.mark.parametrize(("requested_range", "start", "end"), [
    ("bytes=0-0", 0, 1),
    ("bytes=4096-8191", 4096, 8192),
    ("bytes=101200-", 101200, 101292),
    ("bytes=101200-999999", 101200, 101292),
    ("bytes=-16", 101276, 101292),
    ("bytes=-999999", 0, 101292),
    ("bytes=0-", 0, 101292),
])
def test_a_range_is_206(
    client: FlaskClient, image_url: str, firmware: bytes, requested_range: str, start: int, end: int,
) -> None:
    response = client.get(image_url, headers={"Range": requested_range})

    assert response.status_code == 206
    assert response.data == firmware[start:end]
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/101292"
    assert response.headers["Content-Length"] == str(end - start)
    assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.parametrize("requested_range", ["bytes=101292-", "bytes=700000-700001", "bytes=-0"])
def test_a_range_behind_the_end_is_416(client: FlaskClient, image_url: str, requested_range: str) -> None:
    response = client.get(image_url, headers={"Range": requested_range})

    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */101292"


@pytest.mark.parametrize("requested_range", [
    "bytes=0-1,5-6", "lines=0-1", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4",
    "bytes=0x0-0x4", "bytes=-1-5", "bytes=\u0661-", "nonsense", "bytes=0-" + "9" * 5000,
])
def test_an_unsupported_range_gets_the_whole_file(
    client: FlaskClient, image_url: str, firmware: bytes, requested_range: str,
) -> None:
    response = client.get(image_url, headers={"Range": requested_range})

    assert (response.status_code, response.data) == (200, firmware)


def test_head_ignores_range(client: FlaskClient, image_url: str, firmware: bytes) -> None:
    response = client.head(image_url, headers={"Range": "bytes=0-3"})

    assert (response.status_code, response.headers["Content-Length"]) == (200, str(len(firmware)))


def test_if_range(client: FlaskClient, image_url: str) -> None:
    etag = client.get(image_url).headers["ETag"]

    def status(if_range: str) -> int:
        return client.get(image_url, headers={"Range": "bytes=0-3", "If-Range": if_range}).status_code

    assert status(etag) == 206
    assert status(f"W/{etag}") == 200
    assert status('"other"') == 200
    assert status("Sun, 15 Jun 2025 15:06:40 GMT") == 200


@pytest.mark.parametrize("path", [
    "/", "/heads", "/heads/sensor", "/heads/sensor/", "/heads/sensor/beta.head", "/keys/other.keys",
    f"/images/{'ab' * 32}.bin", "/../keys/sensor.keys", "/heads/../keys/sensor.keys",
    "/heads/%2e%2e/keys/sensor.keys", "//etc/passwd", "/heads/sensor/stable.head%00", "/secret.txt",
    "/heads/sensor/.stable.head.0000.tmp",
])
def test_other_paths_are_404(client: FlaskClient, published: Store, path: str) -> None:
    (published.root / "secret.txt").write_text("secret")
    (published.root / "heads/sensor/.stable.head.0000.tmp").write_text("half")

    response = client.get(path)

    assert (response.status_code, response.data) == (404, b"Not Found\n")


@pytest.mark.parametrize("link", ["heads/sensor/beta.head", "heads/other", "keys"])
def test_a_symbolic_link_is_404(client: FlaskClient, published: Store, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("beta.head", "stable.head", "sensor.keys"):
        (outside / name).write_text("secret")
    if link == "keys":
        (published.root / link).rename(tmp_path / "moved")
    (published.root / link).symlink_to(outside / "beta.head" if link.endswith(".head") else outside)

    for path in ("/heads/sensor/beta.head", "/heads/other/stable.head", "/keys/sensor.keys"):
        if link in path:
            assert client.get(path).status_code == 404


def test_a_folder_with_the_name_of_a_file_is_404(client: FlaskClient, published: Store) -> None:
    (published.root / "heads/sensor/beta.head").mkdir()

    assert client.get("/heads/sensor/beta.head").status_code == 404


def test_content_that_does_not_match_its_name_is_500(
    client: FlaskClient, published: Store, image_url: str, caplog: pytest.LogCaptureFixture,
) -> None:
    path = published.path(image_url[1:])
    path.write_bytes(path.read_bytes()[:-1] + b"\0")

    with caplog.at_level(logging.ERROR):
        response = client.get(image_url)

    assert (response.status_code, response.data) == (500, b"Internal Server Error\n")
    assert "file not served: content does not match its name" in caplog.text
    assert image_url[1:] in caplog.text


def test_damage_and_repair_are_noticed_while_serving(
    client: FlaskClient, published: Store, image_url: str, firmware: bytes,
) -> None:
    path = published.path(image_url[1:])
    assert client.get(image_url).status_code == 200
    path.write_bytes(b"rotten")
    assert client.get(image_url).status_code == 500
    published.write(image_url[1:], firmware)
    assert client.get(image_url).data == firmware


def test_a_deleted_file_is_404(client: FlaskClient, published: Store, image_url: str) -> None:
    assert client.get(image_url).status_code == 200
    published.path(image_url[1:]).unlink()
    assert client.get(image_url).status_code == 404


def test_an_unchanged_file_is_read_once(
    client: FlaskClient, published: Store, image_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, original = [], store.read_bytes
    monkeypatch.setattr(
        store, "read_bytes", lambda path, *rest: read.append(path) or original(path, *rest))

    for _ in range(3):
        client.get(image_url, headers={"Range": "bytes=0-4095"})
    assert len(read) == 1
    os.utime(published.path(image_url[1:]), ns=(1, 1))
    client.get(image_url)
    assert len(read) == 2


def test_the_least_recently_used_file_leaves_the_cache_first(
    published: Store, monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = []
    for seed in range(3):
        data = make_firmware(50_000, seed=seed)
        names.append(store.image_name(hashlib.sha256(data).hexdigest()))
        published.write(names[-1], data)
    monkeypatch.setattr(app, "_CACHE_BYTES_MAX", 120_000)
    client = create_app(published.root).test_client()
    read, original = [], store.read_bytes
    monkeypatch.setattr(
        store, "read_bytes", lambda path, *rest: read.append(path.name[:-4]) or original(path, *rest))

    for index in (0, 1, 0, 2, 0, 1):
        assert client.get(f"/{names[index]}").status_code == 200

    assert [f"images/{name}.bin" for name in read] == [names[0], names[1], names[2], names[1]]


def test_a_folder_without_releases_is_refused(tmp_path: Path, site: Store) -> None:
    with pytest.raises(BenchError, match="no such folder: .*www; publish a release into") as caught:
        require_published(site.root)
    assert caught.value.exit_code == 2
    with pytest.raises(BenchError, match="nothing is published here"):
        require_published(tmp_path)


def test_a_site_that_may_not_be_read_is_no_empty_one(
    published: Store, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "heads")
    with pytest.raises(BenchError, match="folder cannot be read: .*heads; check its rights"):
        require_published(published.root)


def test_a_folder_with_releases_is_accepted(published: Store) -> None:
    require_published(published.root)


@pytest.fixture
def server(published: Store) -> Iterator[BackgroundServer]:
    with BackgroundServer(create_app(published.root)) as server:
        yield server


def get(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, bytes]:
    connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    response = connection.getresponse()
    return response.status, response.read()


def exchange(server: BackgroundServer, request: bytes) -> bytes:
    """Send bytes and read until the server closes the connection."""
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_blocks_over_one_connection(server: BackgroundServer, image_url: str, firmware: bytes) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.connect()
    own = connection.sock.getsockname()

    for start in range(0, 5 * 4096, 4096):
        status, data = get(connection, image_url, Range=f"bytes={start}-{start + 4095}")
        assert (status, data) == (206, firmware[start:start + 4096])
    etag = '"' + hashlib.sha256(get(connection, HEAD)[1]).hexdigest() + '"'
    assert get(connection, HEAD, If_None_Match=etag) == (304, b"")
    assert get(connection, "/none") == (404, b"Not Found\n")
    assert connection.sock.getsockname() == own
    connection.close()


def test_pipelined_requests_are_answered_in_order(server: BackgroundServer) -> None:
    request = f"GET {HEAD} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    last = b"HEAD /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    response = exchange(server, request * 3 + last)

    assert response.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert response.index(b"HTTP/1.1 404") > response.rindex(b"HTTP/1.1 200")
    assert response.count(b"Connection: close\r\n") == 1 and response.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("framing", [
    "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
])
def test_a_request_with_a_body_is_one_request(server: BackgroundServer, framing: str) -> None:
    request = f"GET {HEAD} HTTP/1.1\r\nHost: x\r\n{framing}".encode()
    last = b"HEAD /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    response = exchange(server, request + last)

    assert (response.count(b"HTTP/1.1 200 OK"), response.count(b"HTTP/1.1 404"), response.count(b"HTTP/1.1 ")) == (1, 1, 2)


@pytest.mark.parametrize("framing", [
    "Content-Length: 0\r\n\r\nhello\r\n\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "Content-Length: -1\r\n\r\n", "Content-Length: 999999\r\n\r\n", "Transfer-Encoding: gzip\r\n\r\n",
])
def test_a_body_that_may_be_read_in_two_ways_ends_the_connection(server: BackgroundServer, framing: str) -> None:
    response = exchange(server, f"GET {HEAD} HTTP/1.1\r\nHost: x\r\n{framing}".encode())

    assert response.count(b"HTTP/1.1 ") + response.count(b"HTTP/1.0 ") <= 2
    assert response[response.rindex(b"HTTP/1."):][9:10] in b"45"


def test_http_1_0_closes_the_connection(server: BackgroundServer) -> None:
    response = exchange(server, f"GET {HEAD} HTTP/1.0\r\n\r\n".encode())

    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in response


@pytest.mark.parametrize("path", [
    "/../../../../etc/passwd", "/heads/../../etc/passwd", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
    "/heads/sensor/..%2f..%2fkeys/sensor.keys", "http://x/../etc/passwd",
])
def test_no_path_leaves_the_folder(server: BackgroundServer, path: str) -> None:
    response = exchange(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert response.startswith(b"HTTP/1.1 404 ")


def test_a_malformed_request_is_400(server: BackgroundServer) -> None:
    assert b"400" in exchange(server, b"\x16\x03\x01\r\n\r\n")


def test_requests_are_logged_without_control_characters(
    server: BackgroundServer, caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "slotbench.server"):
        exchange(server, b"GET /x\x1b[31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert '127.0.0.1 "GET /x%1B%5B31m HTTP/1.1" 404' in caplog.text


def test_a_defect_is_a_500_and_a_log_line(
    published: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    flask_app = create_app(published.root)
    flask_app.wsgi_app = lambda environ, start_response: 1 / 0
    with BackgroundServer(flask_app) as server:
        response = exchange(server, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert 'defect while answering 127.0.0.1 "GET / HTTP/1.1"' in caplog.text


def test_many_boards_at_once(server: BackgroundServer, image_url: str, firmware: bytes) -> None:
    got: list[bytes] = []

    def board() -> None:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=120)
        got.append(get(connection, image_url)[1])
        connection.close()

    boards = [threading.Thread(target=board) for _ in range(10)]
    for thread in boards:
        thread.start()
    for thread in boards:
        thread.join()

    assert got == [firmware] * 10


def test_a_client_that_hangs_up_does_not_disturb_others(
    server: BackgroundServer, image_url: str, firmware: bytes,
) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(f"GET {image_url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connection.recv(1000)
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)

    assert get(connection, image_url) == (200, firmware)
    connection.close()


def test_stopping_does_not_wait_for_idle_clients(published: Store, image_url: str) -> None:
    before = threading.active_count()
    server = BackgroundServer(create_app(published.root)).__enter__()
    idle = socket.create_connection((server.host, server.port), timeout=60)
    slow = socket.create_connection((server.host, server.port), timeout=60)
    slow.sendall(f"GET {image_url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    slow.recv(1000)
    idle.sendall(b"GET")

    leaving = threading.Thread(target=server.__exit__, args=(None, None, None))
    leaving.start()
    leaving.join(connections.IDLE_S / 2)
    left = not leaving.is_alive()
    idle.close()
    slow.close()
    leaving.join()

    assert left, "the server waits for clients that say nothing"
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=60)


def test_the_port_can_be_used_again(published: Store) -> None:
    with BackgroundServer(create_app(published.root)) as first:
        assert first.url == f"http://127.0.0.1:{first.port}"
    with BackgroundServer(create_app(published.root), port=first.port) as second:
        assert exchange(second, f"GET {HEAD} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200")


def test_a_port_in_use_is_an_error(server: BackgroundServer, published: Store) -> None:
    with pytest.raises(BenchError, match="cannot listen .*in use.*: 127.0.0.1:.*; choose") as caught:
        BackgroundServer(create_app(published.root), port=server.port)
    assert caught.value.exit_code == 2


def test_an_unknown_host_is_an_error(published: Store) -> None:
    with pytest.raises(BenchError, match="cannot listen"):
        BackgroundServer(create_app(published.root), host="256.0.0.1")


def test_ipv6(published: Store) -> None:
    with BackgroundServer(create_app(published.root), host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert exchange(server, f"GET {HEAD} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("agent", "status"), [
    ("twoslot/0.1.0 (2SP1 deflate)", 200), ("twoslot/9 (deflate later)", 200), ("twoslot/0.1.0 (2SP1)", 404),
    ("twoslot/0.1.0 (2SP1 deflated)", 404), ("twoslot", 404), ("curl/8 (deflate)", 404), ("", 404),
    ("twoslot/1 (" + "x " * 60 + "deflate)", 404),
])
def test_where_a_patch_is_missing_the_deflated_image_goes_to_whoever_decodes_it(
    client: FlaskClient, published: Store, agent: str, status: int,
) -> None:
    new, old, other = "a" * 32, "b" * 32, "c" * 32
    published.write(f"patches/{new}.patch", b"whole")
    published.write(f"patches/{new}-{other}.patch", b"small")
    response = client.get(f"/patches/{new}-{old}.patch", headers={"User-Agent": agent})
    assert response.status_code == status
    if status == 200:
        assert response.data == b"whole" and response.headers["Vary"] == "User-Agent"
    there = client.get(f"/patches/{new}-{other}.patch", headers={"User-Agent": agent})
    assert there.data == b"small", "what is there is what was asked for"
    assert client.get(f"/patches/{old}-{new}.patch", headers={"User-Agent": agent}).status_code == 404
