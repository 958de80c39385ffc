"""twoslot.http.request: the request, the status of the response, and when a connection is kept or opened anew."""

from __future__ import annotations

from typing import Any

import pytest

from slotbench import __version__
from slotbench.vboard.network.base import NAME_UNKNOWN
from slotbench.vboard.signals import DeviceOSError
from support.device.board import refusal
from support.device.network import CLOSE, Answer, DeviceHttpClient, Fail, Wait, answer, chunked, head, ok

EBADF, ENOMEM, EINPROGRESS = 9, 12, 115


def asked(client: DeviceHttpClient, number: int = -1) -> list[str]:
    """The lines of a request; the last one by default."""
    return [*client.network.requests[number].sent.decode().split("\r\n"), "", ""]


# The request.


def test_the_request_has_only_what_it_needs() -> None:
    client = answer(ok(b"x"))
    client.text("heads/lamp/stable.head")

    assert asked(client) == [
        "GET /heads/lamp/stable.head HTTP/1.1", "Host: updates.test:8080",
        f"User-Agent: twoslot/{__version__} (2SP1 deflate)", "Accept-Encoding: identity", "", ""]


def test_etag_and_range_are_requested() -> None:
    client = answer(head("ETag: x", status="304 Not Modified"))
    client.get("x", '"abc"')
    assert 'If-None-Match: "abc"' in asked(client)

    ranged = answer(ok(bytes(8), "Content-Range: bytes 4096-4103/9000", status="206 Partial Content"))
    assert ranged.get("x", None, 4096, 4104) == 206
    assert "Range: bytes=4096-4103" in asked(ranged)
    assert ranged.read(100) == bytes(8)


@pytest.mark.parametrize(
    ("base", "url", "host", "port", "path"),
    [
        ("http://a.test", "x/y", "a.test", 80, "/x/y"),
        ("http://a.test/", "x", "a.test", 80, "/x"),
        ("http://a.test:81/sub/dir/", "x", "a.test", 81, "/sub/dir/x"),
        ("http://a.test/sub", "http://b.test:82/z?q=1", "b.test", 82, "/z?q=1"),
        ("http://a.test", "http://b.test", "b.test", 80, "/"),
    ],
)
def test_where_an_url_leads(base: str, url: str, host: str, port: int, path: str) -> None:
    client = DeviceHttpClient([[ok(b"x")]], base=base)
    client.text(url)

    assert client.network.called == [(host, port)]
    assert asked(client)[0] == f"GET {path} HTTP/1.1"
    assert asked(client)[1] == "Host: " + (host if port == 80 else f"{host}:{port}")


@pytest.mark.parametrize(
    "base", ["https://a.test", "a.test", "ftp://a.test", "", "http://a.test:http", "http://a.test:"])
def test_an_address_that_cannot_be_used_is_refused(base: str) -> None:
    client = DeviceHttpClient(base=base)

    with refusal(client.vm, "LinkError", 2, 0):
        client.text()


# The status of the response.


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_redirects_are_refused(status: int) -> None:
    client = answer(ok(b"", "Location: http://elsewhere.test/", status=f"{status} Moved"))

    with refusal(client.vm, "LinkError", 8, status):
        client.text()
    assert client.network.called == [("updates.test", 8080)], "it followed the redirect"


@pytest.mark.parametrize("status", [204, 400, 401, 403, 404, 410, 416, 429, 500, 502, 503])
def test_any_other_status_is_refused_by_its_number(status: int) -> None:
    extra = ["Content-Range: bytes */1000"] if status == 416 else []
    client = answer(ok(b"no", *extra, status=f"{status} No"))

    with refusal(client.vm, "LinkError", 7, status):
        client.text()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("0", 0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("-5", 0), ("1.5", 0)])
def test_retry_after_is_kept_for_the_schedule(value: str, seconds: int) -> None:
    client = answer(ok(b"", f"Retry-After: {value}", status="503 Service Unavailable"))

    with pytest.raises(client.vm.import_("twoslot.errors").LinkError) as refused:
        client.text()
    assert refused.value.args == (7, 503, seconds)


@pytest.mark.parametrize("extra", [(), ("Content-Length: 900",), ("Transfer-Encoding: chunked",)])
def test_still_the_same_has_no_body_whatever_its_headers_say(extra: tuple[str, ...]) -> None:
    client = DeviceHttpClient([[head(*extra, status="304 Not Modified")], [ok(b"new")]])

    with client.within(1000):
        assert client.get("x", '"abc"') == 304
        assert client.text("y") == b"new"
    assert client.network.connections == 1


@pytest.mark.parametrize(
    "place", ["bytes 4097-4104/9000", "bytes 8192-8199/9000", None], ids=str)
def test_another_range_than_asked_for_is_refused(place: str | None) -> None:
    headers = [f"Content-Range: {place}"] if place else []
    client = answer(ok(bytes(8), *headers, status="206 Partial Content"))

    with refusal(client.vm, "LinkError", 10, 4096):
        client.get("x", None, 4096, 4104)


def test_an_unrequested_range_is_refused() -> None:
    client = answer(ok(bytes(8), "Content-Range: bytes 0-7/8", status="206 Partial Content"))

    with refusal(client.vm, "LinkError", 10, 0):
        client.get("x")


def test_a_server_without_ranges_sends_everything() -> None:
    client = answer(ok(bytes(range(100))))

    assert client.get("x", None, 40, 60) == 200
    assert client.read(100) == bytes(range(100))


def test_the_etag_is_handed_over() -> None:
    client = answer(ok(b"x", 'ETag: W/"abc-1"'))
    client.text()

    assert client.response.etag == 'W/"abc-1"'
    bad = answer(ok(b"x").replace(b"\r\n", b"\r\nETag: \xff\xfe\r\n", 1))
    with refusal(bad.vm, "LinkError", 6, 2):
        bad.text()


# One connection for many requests.

KEPT: dict[str, bytes] = {
    "sized": ok(b"one"), "chunked": head("Transfer-Encoding: chunked") + chunked(b"one"),
    "keep-alive said": ok(b"one", "Connection: keep-alive"),
}
NOT_KEPT: dict[str, Answer] = {
    "close": [ok(b"one", "Connection: close")], "Close": [ok(b"one", "connection:  CLOSE ")],
    "HTTP/1.0": [ok(b"one").replace(b"1.1", b"1.0", 1)], "until close": [head() + b"one", CLOSE],
}


@pytest.mark.parametrize("kind", KEPT)
def test_a_connection_is_used_again(kind: str) -> None:
    client = DeviceHttpClient([[KEPT[kind]], [KEPT[kind]], [ok(b"three")]])

    assert [client.text(), client.text(), client.text()] == [b"one", b"one", b"three"]
    assert client.network.connections == 1


@pytest.mark.parametrize("kind", NOT_KEPT)
def test_a_connection_that_ends_with_its_answer_is_not(kind: str) -> None:
    client = DeviceHttpClient([NOT_KEPT[kind]], [[ok(b"two")]])

    assert [client.text(), client.text()] == [b"one", b"two"]
    assert (client.network.connections, client.network.open_connections) == (2, 1)


def test_a_connection_with_an_unread_body_is_given_up() -> None:
    client = DeviceHttpClient([[ok(bytes(1000))]], [[ok(b"two")]])
    client.get("x")
    client.read(999)

    assert client.text() == b"two"
    assert (client.network.connections, client.network.open_connections) == (2, 1)


def test_another_host_gets_a_connection_of_its_own() -> None:
    client = DeviceHttpClient([[ok(b"one")]], [[ok(b"two")]])

    assert [client.text(), client.text("http://b.test/x")] == [b"one", b"two"]
    assert client.network.called == [("updates.test", 8080), ("b.test", 80)]
    assert (client.network.connections, client.network.open_connections) == (2, 1)


@pytest.mark.parametrize("end", [CLOSE, Fail(104)], ids=["closed", "reset"])
@pytest.mark.parametrize("later_ms", [0, 1000])
def test_a_kept_connection_that_the_server_ended_is_made_anew_once(
    end: bytes | Fail, later_ms: int,
) -> None:
    """Whether sending the request fails, or only reading the response."""
    client = DeviceHttpClient([[ok(b"one"), Wait(500), end]], [[ok(b"two")]])
    first = client.text()
    client.board.soc.clock.advance_ms(later_ms)

    assert [first, client.text()] == [b"one", b"two"]
    assert client.network.connections == 2 and client.network.open_connections == 1


def test_a_new_connection_that_fails_is_not_tried_again() -> None:
    client = DeviceHttpClient([[ok(b"one"), CLOSE]], [[CLOSE]])
    client.text()
    with refusal(client.vm, "LinkError", 5, 0):
        client.text()

    fresh = DeviceHttpClient([[CLOSE]])
    with refusal(fresh.vm, "LinkError", 5, 0):
        fresh.text()


def test_a_kept_connection_that_stalls_or_lies_is_not_tried_again() -> None:
    silent = DeviceHttpClient([[ok(b"one")], [Wait(3_600_000)]])
    silent.text()
    with refusal(silent.vm, "LinkError", 4, 0):
        silent.text()

    wrong = DeviceHttpClient([[ok(b"one")], [b"nonsense\r\n"]])
    wrong.text()
    with refusal(wrong.vm, "LinkError", 6, 1):
        wrong.text()


# Connections that fail.


def test_without_a_network_nothing_is_asked() -> None:
    client = answer(ok(b"x"))
    client.network.online = False

    with refusal(client.vm, "LinkError", 1, 0):
        client.text()


def test_a_name_that_cannot_be_resolved() -> None:
    client = answer(ok(b"x"))
    client.network.inject(errno=NAME_UNKNOWN)

    with refusal(client.vm, "LinkError", 2, -2):
        client.text()


def test_a_connection_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    client = DeviceHttpClient(104)
    make, made = client.vm.import_("twoslot.http.connection").socket.socket, []

    def kept(*kind: int) -> Any:
        made.append(make(*kind))
        return made[-1]

    monkeypatch.setattr(client.vm.import_("twoslot.http.connection").socket, "socket", kept)
    with refusal(client.vm, "LinkError", 3, 104):
        client.text()
    client.response.close()
    with pytest.raises(OSError, match=str(EBADF)):
        made[0].connect(("updates.test", 8080))


def test_a_board_without_a_free_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that holds them all: the update waits, and the application goes on."""
    client = DeviceHttpClient()

    def none_left(*kind: int) -> None:
        raise DeviceOSError(ENOMEM)

    monkeypatch.setattr(client.vm.import_("twoslot.http.connection").socket, "socket", none_left)
    with refusal(client.vm, "LinkError", 3, ENOMEM):
        client.text()


def test_a_server_that_never_accepts_gets_ten_seconds() -> None:
    client = DeviceHttpClient(EINPROGRESS)

    with client.within(10_500), refusal(client.vm, "LinkError", 3, EINPROGRESS):
        client.text()


def test_a_request_that_cannot_be_sent() -> None:
    client = DeviceHttpClient([[Fail(104)]])

    with refusal(client.vm, "LinkError", 3, 104):
        client.text()


def test_close_may_be_called_twice() -> None:
    client = answer(ok(bytes(500)))
    client.get("x")
    client.response.close()
    client.response.close()

    assert client.network.open_connections == 0
    assert not client.response.idle


def test_a_closed_response_is_not_kept() -> None:
    """All of it was read, and the connection could have been used again."""
    client = DeviceHttpClient([[ok(b"one")]], [[ok(b"two")]])
    client.text()
    client.response.close()

    assert client.text() == b"two"
    assert client.network.connections == 2


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found", "206 Partial Content"])
def test_a_refused_response_closes_the_connection(status: str) -> None:
    client = answer(ok(b"no", status=status))

    with refusal(client.vm, "LinkError", {"404": 7, "302": 8, "206": 10}[status[:3]]):
        client.text()
    assert client.network.open_connections == 0
