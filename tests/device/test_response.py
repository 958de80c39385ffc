"""twoslot.http.response: every framing of a body, every way to break one; all lengths limited, all waits bounded."""

from __future__ import annotations

import random

import pytest

from support.device.board import refusal
from support.device.network import CLOSE, Fail, Item, Wait, answer, chunked, drip, head, ok

BODY = b"The quick brown fox jumps over the lazy dog. 0123456789"
WAIT_MS = 10_000
"""Longest wait for one piece (design.md, chosen numbers); a piece of n bytes may take n / 512 s more."""
SLACK_MS = 500
"""Connecting, sending the request, and the last look at a silent socket."""


def limit_ms(piece: int) -> float:
    """design.md, chosen numbers: 10 s + its length at 512 B/s."""
    return WAIT_MS + piece * 1000 / 512


FRAMINGS = {
    "content-length": ok(BODY),
    "chunked": head("Transfer-Encoding: chunked") + chunked(BODY[:1], BODY[1:18], BODY[18:]),
    "chunked, one": head("transfer-encoding:CHUNKED") + chunked(BODY),
    "chunked, each byte": head("Transfer-Encoding: chunked") + chunked(*(bytes([byte]) for byte in BODY)),
    "extensions and trailers": head("Transfer-Encoding: chunked")
    + chunked(BODY[:30], BODY[30:], extension=';a="b;c"', trailer="Digest: x\r\nAnother: y\r\n"),
    "upper case and zeros": head("Transfer-Encoding: chunked") + b"0037 ; x\r\n" + BODY + b"\r\n000\r\n\r\n",
    "both, chunked wins": head("Content-Length: 3", "Transfer-Encoding: chunked") + chunked(BODY),
    "identity": ok(BODY, "Content-Encoding: identity"),
    "identity in capitals": ok(BODY, "Content-Encoding: Identity"),
    "an empty encoding": ok(BODY, "Content-Encoding:"),
    "no encoding by name": ok(BODY, "Content-Encoding: none"),
    "what S3 stores": ok(BODY, "Content-Encoding: aws-chunked"),
    "the same length twice": head(f"Content-Length: {len(BODY)}, {len(BODY)}") + BODY,
    "early hints": head("Link: </x>; rel=preload", status="103 Early Hints") + ok(BODY),
    "two interim responses, whose headers are their own": head(status="100 Continue")
    + head("Content-Length: 3", "Transfer-Encoding: chunked", "Connection: close", status="102 Processing") + ok(BODY),
    "6 KB of headers": ok(BODY, *(f"X-{number}: {'v' * 90}" for number in range(62))),
    "bare newlines": ok(BODY).replace(b"\r\n", b"\n"),
    "long header": ok(BODY, "X-Padding: " + "p" * 1000),
    "many headers": ok(BODY, *(f"X-{number}: {'v' * 50}" for number in range(60))),
    "no reason phrase": ok(BODY, status="200"),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_arrives_whole_however_it_is_framed(framing: str) -> None:
    client = answer(FRAMINGS[framing])

    assert client.text() == BODY
    assert client.response.idle, "the connection could have been kept"


@pytest.mark.parametrize("framing", [*FRAMINGS, "until close"])
def test_how_the_bytes_are_cut_into_pieces_does_not_matter(framing: str) -> None:
    data = FRAMINGS.get(framing, head() + BODY)
    end: list[Item] = [CLOSE] if framing == "until close" else []
    rng = random.Random(framing)
    cuts = sorted(rng.sample(range(1, len(data)), 12))
    pieces = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)])]
    for items in (
        drip(data, 0), [item for piece in pieces for item in (Wait(5), piece)], pieces,
    ):
        assert answer(*items, *end).text() == BODY, f"in pieces cut at {cuts}"


@pytest.mark.parametrize("cut", [[55], [1] * 55, [7, 48], [54, 1], [20, 20, 20], [100]])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_body_may_be_read_in_any_pieces(framing: str, cut: list[int]) -> None:
    client = answer(FRAMINGS[framing])
    client.get("x")

    assert b"".join(client.read(size) for size in cut) == BODY
    assert client.read(10) == b"", "something came behind the end of the body"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_without_a_length_the_end_of_the_connection_is_the_end(version: str) -> None:
    client = answer(head().replace(b"1.1", version.encode(), 1) + BODY, CLOSE)

    assert client.text() == BODY
    assert not client.response.idle


def test_an_empty_body_needs_no_more_bytes() -> None:
    for items in ([ok(b"")], [head("Transfer-Encoding: chunked") + chunked()], [head(), CLOSE]):
        client = answer(*items)
        with client.within(1000):
            assert client.text() == b""


@pytest.mark.parametrize("size", [4095, 4096])
def test_a_body_as_long_as_the_buffer_fits(size: int) -> None:
    body = random.Random(size).randbytes(size)
    many = [body[at : at + 999] for at in range(0, size, 999)]
    for items in ([ok(body)], [head("Transfer-Encoding: chunked") + chunked(*many)], [head() + body, CLOSE]):
        assert answer(*items).text() == body


# Bytes that are no HTTP, or longer than allowed.

BROKEN: dict[str, tuple[bytes, int, int | None]] = {
    "no status line": (b"hello\r\n\r\n", 6, 1),
    "an empty line": (b"\r\nHTTP/1.1 200 OK\r\n\r\n", 6, 1),
    "HTTP/2": (ok(b"").replace(b"HTTP/1.1", b"HTTP/2.0"), 6, 1),
    "a status of letters": (ok(b"", status="abc"), 6, 1),
    "a status with a letter": (ok(b"", status="x20"), 6, 1),
    "binary": (bytes(range(256)), 6, 1),
    "a negative length": (head("Content-Length: -1"), 9, -1),
    "a length above 16 MB": (head("Content-Length: 16777217"), 9, 16777217),
    "a length of 100 digits": (head("Content-Length: " + "9" * 100), 9, int("9" * 100)),
    "a length of letters": (head("Server: x", "Content-Length: many"), 6, 3),
    "two lengths in one": (head("Content-Length: 5, 6"), 6, 2),
    "interim responses without an end": (head(status="100 Continue") * 500, 9, None),
    "no length": (head("Content-Length:"), 6, 2),
    "a hex length": (head("Content-Length: 0x10"), 6, 2),
    "another transfer encoding": (head("Transfer-Encoding: gzip, chunked"), 6, 2),
    "a content encoding": (head("Content-Encoding: gzip"), 6, 2),
    "a range of letters": (head("Content-Range: bytes some-more/many"), 6, 2),
    "headers above 8192 bytes": (head(*["X-A: " + "v" * 90] * 90), 9, None),
    "one line above 8192 bytes": (head("X-A: " + "v" * 9000), 9, None),
    "a line that never ends": (b"HTTP/1.1 200 " + b"O" * 9000, 9, None),
    "a chunk size of letters": (head("Transfer-Encoding: chunked") + b"zz\r\n", 6, 0),
    "no chunk size": (head("Transfer-Encoding: chunked") + b"\r\n", 6, 0),
    "a chunk size of other bytes": (head("Transfer-Encoding: chunked") + b"\xff\xfe\r\n", 6, 0),
    "a negative chunk": (head("Transfer-Encoding: chunked") + b"-5\r\n", 9, -5),
    "a chunk above 16 MB": (head("Transfer-Encoding: chunked") + b"1000001\r\n", 9, 0x1000001),
    "an endless extension": (head("Transfer-Encoding: chunked") + b"1;" + b"x" * 9000, 9, None),
    "endless trailers": (
        head("Transfer-Encoding: chunked") + b"0\r\n" + b"A: b\r\n" * 2000, 9, None),
}


@pytest.mark.parametrize(("size", "taken"), [(8192, True), (8193, False)])
def test_headers_of_8192_bytes_in_all_are_the_limit(size: int, taken: bool) -> None:
    lines = head("Content-Length: 55", *["X-A: " + "v" * 90] * 40, "X-B: ")
    padded = lines.replace(b"X-B: ", b"X-B: " + b"v" * (size - len(lines)))
    client = answer(padded + BODY)
    if taken:
        assert client.text() == BODY
    else:
        with refusal(client.vm, "LinkError", 9, size):
            client.text()


@pytest.mark.parametrize("what", BROKEN)
def test_a_malformed_response_is_refused(what: str) -> None:
    data, code, where = BROKEN[what]
    client = answer(data)

    with client.within(WAIT_MS), refusal(client.vm, "LinkError", code, where):
        client.text()
    assert client.network.received <= 8192 + 2 * 256 + 200, "more was read than the limits allow"


# Connections that end or stall.


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_connection_closed_early_is_no_end_of_the_body(framing: str) -> None:
    data = FRAMINGS[framing]
    rng = random.Random(framing)
    for size in (0, 1, 14, *rng.sample(range(15, len(data) - 2), 12)):
        client = answer(data[:size], CLOSE) if size else answer(CLOSE)
        with refusal(client.vm, "LinkError", 5, size), client.within(WAIT_MS):
            client.text()


@pytest.mark.parametrize("size", [0, 5, 60, 90])
def test_an_error_of_the_socket_keeps_its_number(size: int) -> None:
    data = ok(BODY)
    client = answer(data[:size], Fail(104)) if size else answer(Wait(1), Fail(104))
    with refusal(client.vm, "LinkError", 3, 104):
        client.text()


def test_a_silent_server_gets_ten_seconds() -> None:
    client = answer(Wait(3_600_000))
    with client.within(limit_ms(0) + SLACK_MS), refusal(client.vm, "LinkError", 4, 0):
        client.text()
    assert client.board.soc.clock.ms > WAIT_MS, "it gave up too early"

    late = answer(Wait(9_000), ok(BODY))
    assert late.text() == BODY, "a response within ten seconds is in time"


def test_the_lines_between_chunks_have_no_limit_together() -> None:
    client = answer(head("Transfer-Encoding: chunked") + chunked(*[b"x"] * 2000))
    assert client.text() == b"x" * 2000


def test_an_application_that_comes_back_late_is_no_delay_of_the_server() -> None:
    client = answer(ok(BODY))
    client.get("x")
    view = memoryview(bytearray(len(BODY)))
    client.response.wait_ms(len(BODY))
    client.board.soc.clock.advance_ms(60_000)
    assert client.response.fill((view,)) and view == BODY


@pytest.mark.parametrize("size", [1, 30, 45, 60])
def test_a_stall_in_the_middle_is_bounded(size: int) -> None:
    client = answer(ok(BODY)[:size], Wait(3_600_000))
    with client.within(2 * limit_ms(4096) + SLACK_MS), refusal(client.vm, "LinkError", 11, size):
        client.text()


@pytest.mark.parametrize("ms", [400, 2000, 9000])
def test_a_slow_drip_of_headers_is_bounded(ms: int) -> None:
    """Ten seconds for all headers together: a byte now and then does not begin them anew."""
    client = answer(*drip(ok(BODY), ms))
    with client.within(limit_ms(0) + SLACK_MS), refusal(client.vm, "LinkError", 11):
        client.text()


@pytest.mark.parametrize("kind", ["sized", "chunked", "tiny chunks", "chunk size", "trailers", "until close"])
def test_a_slow_drip_of_the_body_is_bounded(kind: str) -> None:
    """10 s + 4096 / 512 s for a block: 200 bytes a second are too few."""
    block = bytes(4096)
    bodies: dict[str, tuple[bytes, list[Item]]] = {
        "sized": (head("Content-Length: 4096"), drip(block, 100, 20)),
        "chunked": (head("Transfer-Encoding: chunked"), drip(chunked(block), 100, 20)),
        "tiny chunks": (head("Transfer-Encoding: chunked"), drip(chunked(*[b"x"] * 4096), 100, 20)),
        "chunk size": (head("Transfer-Encoding: chunked"), drip(b"1" + b";x" * 2000, 100, 3)),
        "trailers": (
            head("Transfer-Encoding: chunked") + chunked(b"x" * 4095)[:-2], drip(b"A: b\r\n" * 600, 100, 3)),
        "until close": (head(), drip(block, 100, 20)),
    }
    start, rest = bodies[kind]
    client = answer(start, *rest)
    client.get("x")
    with client.within(limit_ms(4096) + SLACK_MS), refusal(client.vm, "LinkError", 11):
        client.read(4096)


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_slow_but_steady_body_is_accepted(framing: str) -> None:
    """A little above the floor of 512 B/s, block after block."""
    image = random.Random(1).randbytes(3 * 4096)
    start, data = head("Content-Length: 12288"), image
    if framing == "chunked":
        pieces = [image[at : at + 1000] for at in range(0, len(image), 1000)]
        start, data = head("Transfer-Encoding: chunked"), chunked(*pieces)
    client = answer(start, *drip(data, 100, 56))
    client.get("x")

    assert b"".join(client.read(4096) for _ in range(3)) == image


def test_nothing_is_read_past_the_body() -> None:
    client = answer(ok(BODY) + b"HTTP/1.1 200 the next answer, which nobody asked for")
    client.get("x")

    assert client.read(1000) == BODY
