"""server: validators, ranges, caching and what is not served; then the real thing over sockets."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import socket
import threading
from unittest.mock import Mock

import pytest

from slotbench.errors import BenchError
from slotbench.formats import blocks, document
from slotbench.release import store
from slotbench.release.publish import publish
from slotbench.server import Background, app, background, create_app, require_published
from support.samples import NOW, make_firmware

HEAD = "/heads/sensor/stable.head"


@pytest.fixture
def published(target, make, ring, firmware):
    publish(target, make(), ring.document, [firmware], ring.load("online"), NOW)
    return target


@pytest.fixture
def client(published):
    return create_app(published.root).test_client()


@pytest.fixture
def image(firmware):
    """The image's URL."""
    return f"/images/{hashlib.sha256(firmware).hexdigest()}.bin"


class TestWhole:
    def test_an_image(self, client, image, firmware):
        answer = client.get(image)

        assert (answer.status_code, answer.data) == (200, firmware)
        assert answer.headers["ETag"] == f'"{hashlib.sha256(firmware).hexdigest()}"'
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Length"] == str(len(firmware))
        assert answer.headers["Content-Type"] == "application/octet-stream"

    def test_a_release_and_a_block_table(self, client, published, make, firmware):
        signed = document.split(make().read_bytes())
        table = blocks.table(firmware)

        answer = client.get(f"/{store.release_name(signed.digest)}")
        assert answer.data == signed.pack()
        assert answer.headers["ETag"] == f'"{signed.digest}"'
        assert "immutable" in answer.headers["Cache-Control"]
        answer = client.get(f"/{store.blocks_name(hashlib.sha256(table).hexdigest())}")
        assert answer.data == table

    @pytest.mark.parametrize("name", ["heads/sensor/stable.head", "keys/sensor.keys"])
    def test_what_changes_is_asked_about_every_time(self, client, published, name):
        answer = client.get(f"/{name}")

        assert answer.data == published.read(name)
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.data).hexdigest()}"'
        assert answer.headers["Content-Type"].startswith("text/plain")

    def test_head(self, client, image, firmware):
        answer = client.head(image)

        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(firmware))

    @pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
    def test_nothing_can_be_changed(self, client, method):
        assert getattr(client, method)(HEAD).status_code == 405


class TestNotModified:
    def test_the_same_head(self, client):
        etag = client.get(HEAD).headers["ETag"]

        for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = client.get(HEAD, headers={"If-None-Match": header})
            assert (answer.status_code, answer.data) == (304, b"")
            assert answer.headers["ETag"] == etag
            assert answer.headers["Cache-Control"] == "no-cache"

    def test_another_head(self, client, published, make, ring, firmware):
        etag = client.get(HEAD).headers["ETag"]
        publish(published, make(), ring.document, [firmware], ring.load("online"), NOW)

        answer = client.get(HEAD, headers={"If-None-Match": etag})

        assert answer.status_code == 200
        assert answer.data == published.read(HEAD[1:])
        assert answer.headers["ETag"] != etag

    def test_goes_before_range(self, client, image):
        etag = client.get(image).headers["ETag"]

        answer = client.get(image, headers={"If-None-Match": etag, "Range": "bytes=0-3"})

        assert answer.status_code == 304


class TestRange:
    @pytest.mark.parametrize(("asked", "start", "end"), [
        ("bytes=0-0", 0, 1),
        ("bytes=4096-8191", 4096, 8192),
        ("bytes=641900-", 641900, 641964),
        ("bytes=641900-999999", 641900, 641964),
        ("bytes=-16", 641948, 641964),
        ("bytes=-999999", 0, 641964),
        ("bytes=0-", 0, 641964),
    ])
    def test_a_part(self, client, image, firmware, asked, start, end):
        answer = client.get(image, headers={"Range": asked})

        assert answer.status_code == 206
        assert answer.data == firmware[start:end]
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/641964"
        assert answer.headers["Content-Length"] == str(end - start)
        assert "immutable" in answer.headers["Cache-Control"]

    @pytest.mark.parametrize("asked", ["bytes=641964-", "bytes=700000-700001", "bytes=-0"])
    def test_no_such_part(self, client, image, asked):
        answer = client.get(image, headers={"Range": asked})

        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == "bytes */641964"

    @pytest.mark.parametrize("asked", [
        "bytes=0-1,5-6", "lines=0-1", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4",
        "bytes=0x0-0x4", "bytes=-1-5", "bytes=\u0661-", "nonsense", "bytes=0-" + "9" * 5000,
    ])
    def test_what_is_not_one_range_of_bytes_gets_all(self, client, image, firmware, asked):
        answer = client.get(image, headers={"Range": asked})

        assert (answer.status_code, answer.data) == (200, firmware)

    def test_head_ignores_range(self, client, image, firmware):
        answer = client.head(image, headers={"Range": "bytes=0-3"})

        assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(firmware)))

    def test_if_range(self, client, image):
        etag = client.get(image).headers["ETag"]

        def status(if_range: str) -> int:
            return client.get(image, headers={"Range": "bytes=0-3", "If-Range": if_range}).status_code

        assert status(etag) == 206
        assert status(f"W/{etag}") == 200
        assert status('"other"') == 200
        assert status("Sun, 15 Jun 2025 15:06:40 GMT") == 200


class TestNotServed:
    @pytest.mark.parametrize("path", [
        "/", "/heads", "/heads/sensor", "/heads/sensor/", "/heads/sensor/beta.head", "/keys/other.keys",
        f"/images/{'ab' * 32}.bin", "/../keys/sensor.keys", "/heads/../keys/sensor.keys",
        "/heads/%2e%2e/keys/sensor.keys", "//etc/passwd", "/heads/sensor/stable.head%00", "/secret.txt",
        "/heads/sensor/.stable.head.0000.tmp",
    ])
    def test_404(self, client, published, path):
        (published.root / "secret.txt").write_text("secret")
        (published.root / "heads/sensor/.stable.head.0000.tmp").write_text("half")

        answer = client.get(path)

        assert (answer.status_code, answer.data) == (404, b"Not Found\n")

    def test_a_folder_with_the_name_of_a_file(self, client, published):
        (published.root / "heads/sensor/beta.head").mkdir()

        assert client.get("/heads/sensor/beta.head").status_code == 404

    def test_content_that_is_not_what_its_name_says(self, client, published, image, caplog):
        path = published.path(image[1:])
        path.write_bytes(path.read_bytes()[:-1] + b"\0")

        with caplog.at_level(logging.ERROR):
            answer = client.get(image)

        assert (answer.status_code, answer.data) == (500, b"Internal Server Error\n")
        assert "not served: content does not match its name" in caplog.text
        assert image[1:] in caplog.text

    def test_it_is_noticed_when_it_happens_while_serving_and_when_it_is_mended(
        self, client, published, image, firmware,
    ):
        path = published.path(image[1:])
        assert client.get(image).status_code == 200
        path.write_bytes(b"rotten")
        assert client.get(image).status_code == 500
        published.write(image[1:], firmware)
        assert client.get(image).data == firmware

    def test_a_file_that_goes(self, client, published, image):
        assert client.get(image).status_code == 200
        published.path(image[1:]).unlink()
        assert client.get(image).status_code == 404


class TestMemory:
    def test_a_file_is_read_once_while_it_stays_the_same(self, client, published, image, monkeypatch):
        read, original = [], store.read_bytes
        monkeypatch.setattr(
            store, "read_bytes", lambda path, *rest: read.append(path) or original(path, *rest))

        for _ in range(3):
            client.get(image, headers={"Range": "bytes=0-4095"})
        assert len(read) == 1
        os.utime(published.path(image[1:]), ns=(1, 1))
        client.get(image)
        assert len(read) == 2

    def test_the_least_used_goes_first(self, published, monkeypatch):
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


class TestRequirePublished:
    def test_refusals(self, tmp_path, target):
        with pytest.raises(BenchError, match="no such folder: .*www; publish a release into") as caught:
            require_published(target.root)
        assert caught.value.exit_code == 2
        with pytest.raises(BenchError, match="nothing is published here"):
            require_published(tmp_path)

    def test_published(self, published):
        require_published(published.root)


@pytest.fixture
def server(published):
    with Background(create_app(published.root)) as server:
        yield server


def ask(connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, bytes]:
    connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read()


def exchange(server: Background, request: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


class TestSockets:
    def test_blocks_over_one_connection(self, server, image, firmware):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        connection.connect()
        own = connection.sock.getsockname()

        for start in range(0, 5 * 4096, 4096):
            status, data = ask(connection, image, Range=f"bytes={start}-{start + 4095}")
            assert (status, data) == (206, firmware[start:start + 4096])
        etag = '"' + hashlib.sha256(ask(connection, HEAD)[1]).hexdigest() + '"'
        assert ask(connection, HEAD, If_None_Match=etag) == (304, b"")
        assert ask(connection, "/none") == (404, b"Not Found\n")
        assert connection.sock.getsockname() == own
        connection.close()

    def test_requests_that_wait_in_line_are_answered_in_order(self, server):
        request = f"GET {HEAD} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        last = b"HEAD /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

        answer = exchange(server, request * 3 + last)

        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert answer.index(b"HTTP/1.1 404") > answer.rindex(b"HTTP/1.1 200")
        assert answer.endswith(b"Connection: close\r\n\r\n")

    def test_a_request_with_a_body_is_answered_and_closed(self, server):
        request = f"GET {HEAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode()

        assert b"Connection: close" in exchange(server, request)
        chunked = f"GET {HEAD} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode()
        assert exchange(server, chunked).startswith(b"HTTP/1.1 200 OK")

    def test_http_1_0(self, server):
        answer = exchange(server, f"GET {HEAD} HTTP/1.0\r\n\r\n".encode())

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nConnection: close\r\n" in answer

    @pytest.mark.parametrize("path", [
        "/../../../../etc/passwd", "/heads/../../etc/passwd", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
        "/heads/sensor/..%2f..%2fkeys/sensor.keys", "http://x/../etc/passwd",
    ])
    def test_no_path_leads_out(self, server, path):
        answer = exchange(server, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

        assert answer.startswith(b"HTTP/1.1 404 ")

    def test_rubbish(self, server):
        assert b"400" in exchange(server, b"\x16\x03\x01\r\n\r\n")

    def test_requests_are_logged_without_control_characters(self, server, caplog):
        with caplog.at_level(logging.INFO, "slotbench.server"):
            exchange(server, b"GET /x\x1b[31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert '127.0.0.1 "GET /x\\x1b[31m HTTP/1.1" 404' in caplog.text

    def test_a_defect_is_a_500_and_a_log_line(self, published, caplog, monkeypatch):
        flask_app = create_app(published.root)
        flask_app.wsgi_app = lambda environ, start_response: 1 / 0
        with Background(flask_app) as server:
            answer = exchange(server, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert "defect while answering GET / HTTP/1.1" in caplog.text

    def test_a_defect_before_the_application_is_a_log_line(self, server, caplog, monkeypatch):
        monkeypatch.setattr(background._Handler, "make_environ", Mock(side_effect=RuntimeError("oh")))

        assert exchange(server, b"GET / HTTP/1.0\r\n\r\n") == b""
        assert "defect while serving 127.0.0.1" in caplog.text and "RuntimeError: oh" in caplog.text

    def test_many_boards_at_once(self, server, image, firmware):
        got: list[bytes] = []

        def board() -> None:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
            got.append(ask(connection, image)[1])
            connection.close()

        boards = [threading.Thread(target=board) for _ in range(10)]
        for thread in boards:
            thread.start()
        for thread in boards:
            thread.join()

        assert got == [firmware] * 10

    def test_a_client_that_hangs_up_in_mid_answer_hurts_nobody(self, server, image, firmware):
        with socket.create_connection((server.host, server.port), timeout=10) as connection:
            connection.sendall(f"GET {image} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            connection.recv(1000)
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)

        assert ask(connection, image) == (200, firmware)
        connection.close()

    def test_leaving_ends_everything_whatever_clients_do(self, published, image):
        before = threading.active_count()
        server = Background(create_app(published.root)).__enter__()
        idle = socket.create_connection((server.host, server.port), timeout=10)
        slow = socket.create_connection((server.host, server.port), timeout=10)
        slow.sendall(f"GET {image} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        slow.recv(1000)
        idle.sendall(b"GET")

        leaving = threading.Thread(target=server.__exit__, args=(None, None, None))
        leaving.start()
        leaving.join(background.IDLE_S / 2)
        left = not leaving.is_alive()
        idle.close()
        slow.close()
        leaving.join()

        assert left, "the server waits for clients that say nothing"
        assert threading.active_count() == before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), timeout=10)

    def test_the_same_port_again(self, published):
        with Background(create_app(published.root)) as first:
            assert first.url == f"http://127.0.0.1:{first.port}"
        with Background(create_app(published.root), port=first.port) as second:
            assert exchange(second, f"GET {HEAD} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200")

    def test_a_port_in_use(self, server, published):
        with pytest.raises(BenchError, match="cannot listen .*in use.*: 127.0.0.1:.*; choose") as caught:
            Background(create_app(published.root), port=server.port)
        assert caught.value.exit_code == 2

    def test_no_such_host(self, published):
        with pytest.raises(BenchError, match="cannot listen"):
            Background(create_app(published.root), host="256.0.0.1")

    def test_ipv6(self, published):
        with Background(create_app(published.root), host="::1") as server:
            assert server.url == f"http://[::1]:{server.port}"
            assert exchange(server, f"GET {HEAD} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200")
