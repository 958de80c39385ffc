"""HTTP answers as arbitrary bytes in arbitrary pieces: right ones are read right, of the others only LinkError leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from slotbench.vboard.network.http_faults import PORTAL
from support.device.network import CLOSE, DeviceHttpClient, Fail, Item, Wait, chunked, head
from support.fuzz import checks as fuzz_checks
from support.fuzz.checks import BUFFER, client_of
from support.fuzz.strategies import bent, edited
from support.sampling import examples

line_ends = st.sampled_from(["\r\n", "\r\n", "\n"])
header_names = st.sampled_from([
    "Content-Length", "content-length", "Transfer-Encoding", "Content-Range", "Content-Encoding", "Connection", "ETag",
    "Retry-After", "Location", "Content-Type", "Date", "X-Other", "", "Content-Length ", "X" * 200])
header_values = st.one_of(
    st.integers(-3, 5000).map(str), st.text(st.characters(codec="latin-1"), max_size=30),
    st.sampled_from([
        "chunked", "gzip", "identity", "close", "keep-alive", "bytes 0-9/10", "bytes */5", "bytes -", '"tag"', "1e3",
        "0x10", " 7 ", "9" * 30, "x" * 5000, "1_000", "\u00b2"]))


@st.composite
def headers(draw: DrawFn) -> list[str]:
    return [f"{draw(header_names)}:{draw(header_values)}" for _ in range(draw(st.integers(0, 6)))]


@st.composite
def answers(draw: DrawFn) -> bytes:
    """Something like an answer."""
    end = draw(line_ends)
    status = draw(st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 206 Partial Content",
                                   "HTTP/1.1 304 Not Modified", "HTTP/1.1 302 Found", "HTTP/1.1 503", "HTTP/1.1 20x",
                                   "HTTP/1.1  200", "HTTP/9 200 OK", "", "ICY 200 OK"]))
    top = end.join([status, *draw(headers()), "", ""]).encode("latin-1")
    body = draw(st.sampled_from([b"", b"{}", PORTAL, b"x" * BUFFER, b"x" * (BUFFER + 1), chunked(b"one ", b"two"),
                                 chunked(b"x" * 9000), b"5;ext=1\r\nhello\r\n0\r\n\r\n", b"-1\r\n", b"fffffff\r\n"])
                | st.binary(max_size=400))
    return top + body


anything = st.one_of(
    answers(), answers(), answers().flatmap(edited), answers().filter(bool).flatmap(bent), st.binary(max_size=2000))


@st.composite
def in_pieces(draw: DrawFn, data: bytes, ends: SearchStrategy[list[Item]], most_ms: int) -> list[Item]:
    """The bytes as they arrive: in pieces of any size with pauses between, then an end."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    items: list[Item] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)]):
        if draw(st.booleans()):
            items.append(Wait(draw(st.integers(1, most_ms))))
        if end > start:  # no bytes would be the end
            items.append(data[start:end])
    return [*items, *draw(ends)]


any_end: SearchStrategy[list[Item]] = st.sampled_from([[CLOSE], [Fail()], []])


@examples(250)
@given(data=st.data())
def test_any_bytes_as_a_document(data: st.DataObject) -> None:
    answer = data.draw(anything, "answer")
    items = data.draw(in_pieces(answer, any_end, 4000), "pieces")
    fuzz_checks.answer_as_document(items, data.draw(st.sampled_from([None, '"tag"']), "etag"))


@examples(150)
@given(data=st.data())
def test_any_bytes_as_blocks(data: st.DataObject) -> None:
    answer = data.draw(anything, "answer")
    fuzz_checks.answer_as_blocks(data.draw(in_pieces(answer, any_end, 4000), "pieces"), answer)


# There is no range of nothing.
CODINGS = ("length", "chunked", "closed", "1.0", "206")


@st.composite
def right_answers(draw: DrawFn, body: bytes) -> tuple[bytes, list[Item]]:
    """An answer that RFC 9112 allows, and how its connection ends."""
    coding = draw(st.sampled_from(CODINGS if body else CODINGS[:-1]))
    own = [f"X-{number}: {value}" for number, value in enumerate(draw(st.lists(st.sampled_from(
        ["", "plain", "x" * 300, "a:b:c", "Content-Length: 3", "\u00e9"]), max_size=4)))]
    if coding == "chunked":
        size = draw(st.integers(1, 2000))
        pieces = [body[at : at + size] for at in range(0, len(body), size)][:40]
        body = b"".join(pieces)
        extension, trailer = draw(st.sampled_from([("", ""), (";a=b", "X-Sum: 1\r\n"), (" ", "")]))
        coded = chunked(*pieces, extension=extension, trailer=trailer)
        return body, [head(*own, "Transfer-Encoding: " + draw(st.sampled_from(["chunked", "Chunked"]))) + coded]
    if coding == "closed":
        return body, [head(*own) + body, CLOSE]
    top = head(*own, f"CONTENT-LENGTH:{len(body)}")
    if coding == "206":
        top = head(f"Content-Range: bytes 0-{len(body) - 1}/{len(body)}", f"Content-Length: {len(body)}",
                   status="206 Partial Content")
    if coding == "1.0":
        top = top.replace(b"HTTP/1.1", b"HTTP/1.0")
    return body, [top + body, CLOSE]


@examples(200)
@given(data=st.data())
def test_a_right_answer_is_read_right_whatever_its_pieces(data: st.DataObject) -> None:
    content = data.draw(st.binary(max_size=600) | st.sampled_from([b"{}\nkey sig\n" * 300, b"x" * BUFFER]), "body")
    body, (answer, *end) = data.draw(right_answers(content), "answer")
    assert isinstance(answer, bytes)
    client = client_of(data.draw(in_pieces(answer, st.just(end), 900), "pieces"))
    ranged = answer.startswith(b"HTTP/1.1 206")
    client.get("x", None, 0, len(content) if ranged else 0)
    got = b""
    while piece := client.read(data.draw(st.integers(1, BUFFER), "buffer")):
        got += piece
    assert got == body


@examples(60)
@given(data=st.data())
def test_two_answers_on_one_connection(data: st.DataObject) -> None:
    """What belongs to the first never leaks into the second."""
    bodies = data.draw(st.tuples(st.binary(max_size=300), st.binary(max_size=300)), "bodies")
    script = []
    for number, body in enumerate(bodies):
        coded, sized = chunked(body) if body else b"0\r\n\r\n", f"Content-Length: {len(body)}"
        answer = head(sized) + body if data.draw(st.booleans()) else head("Transfer-Encoding: chunked") + coded
        script.append(data.draw(in_pieces(answer, st.just([]), 500), f"answer {number}"))
    client = DeviceHttpClient(script)
    assert tuple(client.text() for _ in bodies) == bodies
    assert len(client.network.called) == 1
