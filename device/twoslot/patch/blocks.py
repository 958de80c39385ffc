# Makes the missing blocks from a patch (FORMATS, patch) and the running slot's image, while it comes. A patch
# is not signed: a block counts once it was read back and has its digest, whatever the patch says. Until then
# it is garbage in a slot that is declared empty.
from array import array
from hashlib import sha256
from micropython import const

from twoslot import codes, drop
from twoslot.constants import BLOCK, PIECE, STAGE_CHOICE, STAGE_SCAN, STATE_VERIFY, TABLE_ENTRY
from twoslot.errors import LinkError
from twoslot.flash import Flash
from twoslot.patch.layout import (
    CHUNK, CHUNK_WANTED, INPUT_WANTED, N_AT, N_BASE, N_COUNT, N_DELTA, N_DRY, N_END, N_FIRST, N_FLAGS, N_LAST,
    N_LENGTH, N_MAP, N_MISSING, N_OLD, N_OLD_LENGTH, N_SPOT, N_START, PIECE_MADE,
)  # fmt: skip
from twoslot.patch.stream import StreamReader, throw

try:
    # Native code (memory.md). The chip never takes it back, so that module is not dropped.
    from twoslot.native import update
except (ImportError, MemoryError, ValueError):  # no room for it, or another MicroPython
    from twoslot.patch.interpreted import Interpreter

    update = None

_ENTRIES = const(128)
_KEYS_END = const(0x1000000)


def step(agent):
    """Make the next piece: a stage of an update. True while there is more."""
    progress = agent.progress
    try:
        if agent.request is None:
            agent.request = run(agent)
        for _ in agent.request:
            return True
    except (LinkError, MemoryError, RuntimeError, OSError, ValueError, EOFError) as e:
        # A lost connection is another matter: the same patch is asked for once more.
        if isinstance(e, LinkError) and e.args[0] != codes.PATCH_UNUSABLE:
            raise
        agent.plan["ways"] &= agent.plan["ways"] - 1
        progress["tries"] = 0
        if not isinstance(e, MemoryError):
            from twoslot import failures

            failures.log_error(LinkError(codes.PATCH_UNUSABLE, e.args[1] if isinstance(e, LinkError) else 0))
    agent.request = None
    agent.source.close(agent)
    agent.stage = STAGE_CHOICE
    if not progress["left"]:
        agent.next, agent.state, agent.stage = 0, STATE_VERIFY, STAGE_SCAN
    drop("failures")


def run(agent):
    """Make the missing blocks. Yields after each piece of work."""
    progress, response, length = agent.progress, agent.response, agent.progress["length"]
    head = memoryview(bytearray(16))
    response.wait_ms(16)
    while not response.fill((head,)):
        agent.waiting = True
        yield
    bits, old_length = head[4], int.from_bytes(head[8:12], "little")
    if head[:4] != b"2SP1" or not 9 <= bits <= 12 or int.from_bytes(head[12:], "little") != length:
        throw(0)
    flash = Flash()
    if old_length:
        # The descriptor of the running slot has the length of the old image. A server may send a patch that
        # needs none in place of one that it does not have.
        flash.read(agent.place[4], head)
        if old_length != int.from_bytes(head[12:], "little"):
            throw(0)
    stream = StreamReader(response, bits)
    numbers, flags = yield from _read_map(stream, agent, length, old_length)
    go_on = update or Interpreter(numbers).update
    piece, chunk = memoryview(bytearray(PIECE)), bytearray(CHUNK)
    numbers[N_BASE], numbers[N_START], numbers[N_LAST] = -1, stream.start, stream.end
    for first in range(0, length, PIECE):
        block = first // BLOCK
        missing = progress["missing"][block >> 3] >> (block & 7) & 1
        if not first % BLOCK and missing:
            if not progress["blank"] or not flash.is_blank(progress["image"] + first, BLOCK, piece):
                flash.erase(progress["image"] + first)
        numbers[N_FIRST], numbers[N_AT], numbers[N_MISSING] = first, 0, missing
        numbers[N_END] = end = min(PIECE, length - first)
        while True:
            wanted = go_on(numbers, piece, chunk, stream.buffer)
            if wanted == CHUNK_WANTED:
                old = numbers[N_OLD]
                numbers[N_BASE] = base = old & ~(CHUNK - 1)
                numbers[N_DELTA] = first + numbers[N_AT] - old
                numbers[N_FLAGS] = 4 | (flags[base >> 10] if base >> 10 < len(flags) else 0)
                flash.read(agent.place[2] + base, chunk)
            elif wanted == INPUT_WANTED:
                stream.start = numbers[N_START]
                left = stream.end - stream.start
                for _ in stream.fill(agent):
                    if agent.waiting:
                        yield
                numbers[N_START], numbers[N_LAST], numbers[N_DRY] = 0, stream.end, stream.end == left
            elif wanted == PIECE_MADE:
                break
            else:
                throw(block)
        numbers[N_SPOT] -= PIECE
        if missing:
            # Words behind the end of the image stay blank.
            while end & 3:
                piece[end] = 0xFF
                end += 1
            flash.write(progress["image"] + first, piece[:end] if end < PIECE else piece)
            first += end
            if not first % BLOCK or first >= length:
                numbers[N_BASE] = -1
                if not _has_block(flash, progress, block, chunk):
                    throw(block)
                progress["missing"][block >> 3] &= ~(1 << (block & 7))
                progress["left"] -= 1
                agent.blocks_in_place = progress["blocks"] - progress["left"], progress["blocks"]
                agent.written += 1
                agent.tries = progress["tries"] = 0
                if not progress["left"]:
                    return
        if not numbers[N_END] + numbers[N_FIRST] & BLOCK - 1:
            yield


def _has_block(flash, progress, block, chunk):
    # True when the spare slot has the block that the table wants. The chunk is overwritten.
    sha, view = sha256(), memoryview(chunk)
    for at in range(block * BLOCK, min((block + 1) * BLOCK, progress["length"]), CHUNK):
        flash.read(progress["image"] + at, chunk)
        sha.update(chunk if progress["length"] - at >= CHUNK else view[: progress["length"] - at])
    view = view[:TABLE_ENTRY]
    flash.read(progress["table"] + block * TABLE_ENTRY, view)
    return sha.digest()[:TABLE_ENTRY] == view


def _read_map(stream, agent, length, old_length):
    # What the stream has before the operations: return the array of numbers, with the map in it, and the
    # flags. Yields as the stream's fill() does.
    yield from stream.fill(agent)
    count = stream.read()
    if count > _ENTRIES:
        throw(0)
    numbers = array("i", bytes(4 * (N_MAP + 2 * count)))
    numbers[N_LENGTH], numbers[N_OLD_LENGTH], numbers[N_COUNT] = length, old_length, count
    key = shift = 0
    for i in range(N_MAP, N_MAP + count):
        if stream.end - stream.start < 8:
            yield from stream.fill(agent)
        key += stream.read()
        n = stream.read()
        shift += n >> 1 ^ -(n & 1)
        if key >= _KEYS_END or not -_KEYS_END < shift < _KEYS_END:
            throw(0)
        numbers[i], numbers[i + count] = key, shift
    yield from stream.fill(agent)
    n = stream.read()
    if n > (old_length + 1023) // 1024:
        throw(0)
    flags = bytearray(n)
    for i in range(n):
        if stream.start == stream.end:
            yield from stream.fill(agent)
            if not stream.end:
                throw(0)
        flags[i] = stream.buffer[stream.start]
        stream.start += 1
        if flags[i] > 3:
            throw(0)
    return numbers, flags
