# Makes the missing blocks from a patch (FORMATS, patch) and the running slot's image, while it comes. A patch
# is not signed: each block must have its digest before it is written, whatever the patch says.
import struct

from io import BytesIO
from micropython import const

from twoslot import codes, drop
from twoslot.constants import BLOCK, STAGE_CHOICE, STAGE_SCAN, STATE_VERIFY
from twoslot.errors import LinkError
from twoslot.patch.prediction import Source

_INPUT = const(1024)  # bytes of the deflated stream that are held
_PIECE = const(128)  # bytes that are inflated at once
_ENOUGH = const(856)  # of the input for a piece, at 15 bits a byte and with a table of codes: 2 * 128 + 600
_NUMBERS = const(16)  # bytes of the numbers of an operation


def step(agent):
    """Make the next piece: a stage of an update."""
    from twoslot.image import writer, download

    progress = agent.progress
    try:
        if agent.request is None:
            agent.request = decode(agent, writer)
        for _ in agent.request:
            return
    except (LinkError, MemoryError, OSError, ValueError, EOFError) as e:
        # A lost connection is another matter: the same patch is asked for once more.
        if isinstance(e, LinkError) and e.args[0] not in (codes.PATCH_UNUSABLE, codes.BLOCK_MISMATCH):
            raise
        agent.plan["encodings"].pop(0)
        progress["tries"] = 0
        if not isinstance(e, MemoryError):
            from twoslot import failures

            failures.log_error(LinkError(codes.PATCH_UNUSABLE, e.args[-1]))
    agent.request = progress["pieces"] = None
    agent.source.close(agent)
    agent.stage = STAGE_CHOICE
    if not progress["left"]:
        agent.next, agent.state, agent.stage = 0, STATE_VERIFY, STAGE_SCAN
    drop("image", "failures")


def refuse(where):
    """Raise what says that the patch is of no use."""
    raise LinkError(codes.PATCH_UNUSABLE, where)


class Stream:
    """The inflated bytes that come next: buffer[at:end]."""

    def __init__(self, response, bits):
        self.response = response
        self.buffer = memoryview(bytearray(_PIECE))
        self.at = self.end = 0
        self.input, self.first, self.last, self.whole = BytesIO(), 0, 0, False
        try:
            from deflate import DeflateIO

            self.inflate = DeflateIO(self.input, 1, bits)
        except ImportError:  # MicroPython 1.20
            from zlib import DecompIO

            self.inflate = DecompIO(self.input, -bits)

    def refill(self, agent):
        """Inflate more, behind what is left. Yields while input is missing, and once."""
        rest = self.end - self.at
        self.buffer[:rest] = self.buffer[self.at : self.end]
        free, source = self.buffer[rest:], self.input
        if self.last - self.first < _ENOUGH and not self.whole:
            # The inflater must not find the end of its input: what is left of it goes to the front, and
            # more of it behind that.
            left, to = self.last - self.first, 0
            while to < left:
                source.seek(self.first + to)
                n = source.readinto(free)
                source.seek(to)
                source.write(free[:n])
                to += n
            self.first, self.last = 0, left
            while self.last + len(free) <= _INPUT and not self.whole:
                response = self.response
                response.wait_ms(len(free))
                while not response.fill((free,)):
                    agent.waiting = True
                    yield
                source.seek(self.last)
                source.write(free[: response.got])
                self.last += response.got
                self.whole = response.got < len(free)
        source.seek(self.first)
        n = self.inflate.readinto(free)
        self.first = source.tell()
        self.at, self.end = 0, rest + n
        yield

    def number(self):
        """Take the next number: 7 bits a byte, the lowest first."""
        n = shift = 0
        while shift < 28:
            if self.at == self.end:
                refuse(0)
            b = self.buffer[self.at]
            self.at += 1
            n |= (b & 127) << shift
            if b < 128:
                return n
            shift += 7
        refuse(0)

    def signed(self):
        """Take the next signed number."""
        n = self.number()
        return n >> 1 ^ -(n & 1)


def decode(agent, writer):
    """Write the missing blocks. Yields after each piece of work."""
    progress, response = agent.progress, agent.response
    head = memoryview(bytearray(16))
    response.wait_ms(16)
    while not response.fill((head,)):
        agent.waiting = True
        yield
    magic, bits, _, old_length, length = struct.unpack("<4sBBxxII", head)
    if response.got != 16 or magic != b"2SP1" or length != progress["length"] or not 9 <= bits <= 12:
        refuse(0)
    if old_length and old_length != agent.place[5]:
        refuse(0)
    stream = Stream(response, bits)
    buffer = stream.buffer
    source = Source(agent.place[2], old_length)
    writer.allocate(progress, BLOCK)
    pieces = progress["pieces"]
    size = len(pieces[0])
    for _ in source.read_map(stream, agent):
        yield
    copy = literals = edits = old = spot = run = 0
    for block in range(progress["blocks"]):
        missing, at, end = writer.is_missing(progress, block), 0, writer.block_size(progress, block)
        while at < end:
            if copy:
                n = min(copy, end - at)
                if missing:
                    source.copy(pieces, at, old, n, block * BLOCK + at - old)
                at += n
                old += n
                copy -= n
                while edits and spot < at:
                    if spot + run > at:
                        refuse(block)
                    while run:
                        if stream.at == stream.end:
                            for _ in stream.refill(agent):
                                yield
                            if not stream.end:
                                refuse(block)
                        if missing:
                            p, i = pieces[spot // size], spot % size
                            p[i] = p[i] + buffer[stream.at] & 255
                        stream.at += 1
                        spot += 1
                        run -= 1
                    edits -= 1
                    if edits:
                        if stream.end - stream.at < _NUMBERS:
                            for _ in stream.refill(agent):
                                yield
                        n = stream.number()
                        spot += n >> 2
                        run = (n & 3) + 1
                        if run == 4:
                            run += stream.number()
                if edits and not copy:
                    refuse(block)
            elif literals:
                if stream.at == stream.end:
                    for _ in stream.refill(agent):
                        yield
                    if not stream.end:
                        refuse(block)
                p, i = pieces[at // size], at % size
                n = min(literals, end - at, stream.end - stream.at, size - i)
                if missing:
                    p[i : i + n] = buffer[stream.at : stream.at + n]
                stream.at += n
                at += n
                literals -= n
            else:
                if stream.end - stream.at < 2 * _NUMBERS:
                    for _ in stream.refill(agent):
                        yield
                copy, literals = stream.number(), stream.number()
                if not 0 < copy + literals <= length - block * BLOCK - at:
                    refuse(block)
                if copy:
                    old += stream.signed()
                    if not 0 <= old <= old_length - copy:
                        refuse(block)
                    edits = stream.number()
                    if edits > copy:
                        refuse(block)
                    if edits:
                        n = stream.number()
                        spot = at + (n >> 2)
                        run = (n & 3) + 1
                        if run == 4:
                            run += stream.number()
        spot -= BLOCK
        if missing:
            writer.write_block(progress, block)
            agent.blocks_in_place = progress["blocks"] - progress["left"], progress["blocks"]
            agent.written += 1
            agent.tries = progress["tries"] = 0
            if not progress["left"]:
                return
        yield
