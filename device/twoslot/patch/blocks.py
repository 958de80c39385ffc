# Makes the missing blocks from a patch (FORMATS, patch) and the running slot's image, while it comes. A patch
# is not signed: a block counts once it was read back and has its digest, whatever the patch says. Until then
# it is garbage in a slot that is declared empty.
from micropython import const

from twoslot import codes, drop
from twoslot.constants import BLOCK, PIECE, STAGE_CHOICE, STAGE_SCAN, STATE_VERIFY
from twoslot.errors import LinkError
from twoslot.flash import Flash
from twoslot.patch.prediction import OldImage
from twoslot.patch.stream import StreamReader, throw

_NUMBERS = const(16)  # bytes of the numbers of an operation


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
    progress, response = agent.progress, agent.response
    head = memoryview(bytearray(16))
    response.wait_ms(16)
    while not response.fill((head,)):
        agent.waiting = True
        yield
    bits, length, old_length = head[4], progress["length"], int.from_bytes(head[8:12], "little")
    if head[:4] != b"2SP1" or not 9 <= bits <= 12 or int.from_bytes(head[12:], "little") != length:
        throw(0)
    if old_length:
        # The descriptor of the running slot has the length of the old image. A server may send a patch that
        # needs none in place of one that it does not have.
        Flash().read(agent.place[4], head)
        if old_length != int.from_bytes(head[12:], "little"):
            throw(0)
    stream = StreamReader(response, bits)
    source = OldImage(agent.place[2], old_length)
    for _ in source.read(stream, agent):
        yield
    buffer, piece, flash = stream.buffer, memoryview(bytearray(PIECE)), source.flash
    copy = literals = edits = old = spot = run = 0
    for first in range(0, length, PIECE):
        block, at, end = first // BLOCK, 0, min(PIECE, length - first)
        missing = progress["missing"][block >> 3] >> (block & 7) & 1
        if not first % BLOCK and missing:
            if not progress["blank"] or not flash.is_blank(progress["image"] + first, BLOCK, piece):
                flash.erase(progress["image"] + first)
        while at < end:
            if copy:
                n = min(copy, end - at)
                if missing:
                    source.copy(piece, at, old, n, first + at - old, copy)
                at += n
                old += n
                copy -= n
                while edits and spot < at:
                    if missing:
                        # Most edits are short, and so are their numbers.
                        i, last = stream.start, stream.end - _NUMBERS
                        while i < last and edits > 1 and run < 4 and spot + run <= at:
                            while run:
                                piece[spot] = piece[spot] + buffer[i] & 255
                                spot += 1
                                i += 1
                                run -= 1
                            n, b, j = buffer[i], buffer[i + 1], i + 1
                            if n > 127:
                                if b > 127:
                                    break
                                n += (b << 7) - 128
                                j += 1
                            if n & 3 == 3:
                                break
                            i = j
                            edits -= 1
                            spot += n >> 2
                            run = (n & 3) + 1
                        stream.start = i
                        if spot >= at:
                            break
                    if stream.start == stream.end:
                        for _ in stream.fill(agent):
                            yield
                        if not stream.end:
                            throw(block)
                    n = min(run, at - spot, stream.end - stream.start)
                    run -= n
                    if missing:
                        for b in buffer[stream.start : stream.start + n]:
                            piece[spot] = piece[spot] + b & 255
                            spot += 1
                    else:
                        spot += n
                    stream.start += n
                    if run:
                        # It goes on in the next piece, but never in another block or behind the copy.
                        if spot == at and (not copy or not (first + at) % BLOCK):
                            throw(block)
                        continue
                    edits -= 1
                    if edits:
                        if stream.end - stream.start < _NUMBERS:
                            for _ in stream.fill(agent):
                                yield
                        n = stream.read()
                        spot += n >> 2
                        run = (n & 3) + 1
                        if run == 4:
                            run += stream.read()
                if edits and not copy:
                    throw(block)
            elif literals:
                if stream.start == stream.end:
                    for _ in stream.fill(agent):
                        yield
                    if not stream.end:
                        throw(block)
                n = min(literals, end - at, stream.end - stream.start)
                if missing:
                    piece[at : at + n] = buffer[stream.start : stream.start + n]
                stream.start += n
                at += n
                literals -= n
            else:
                if stream.end - stream.start < 2 * _NUMBERS:
                    for _ in stream.fill(agent):
                        yield
                copy, literals = stream.read(), stream.read()
                if not 0 < copy + literals <= length - first - at:
                    throw(block)
                if copy:
                    n = stream.read()
                    old += n >> 1 ^ -(n & 1)
                    if not 0 <= old <= old_length - copy:
                        throw(block)
                    edits = stream.read()
                    if edits > copy:
                        throw(block)
                    if edits:
                        n = stream.read()
                        spot = at + (n >> 2)
                        run = (n & 3) + 1
                        if run == 4:
                            run += stream.read()
        spot -= PIECE
        if missing:
            # Words behind the end of the image stay blank.
            while end & 3:
                piece[end] = 0xFF
                end += 1
            flash.write(progress["image"] + first, piece[:end])
            first += end
            if not first % BLOCK or first >= length:
                if not source.match(progress, block):
                    throw(block)
                progress["missing"][block >> 3] &= ~(1 << (block & 7))
                progress["left"] -= 1
                agent.blocks_in_place = progress["blocks"] - progress["left"], progress["blocks"]
                agent.written += 1
                agent.tries = progress["tries"] = 0
                if not progress["left"]:
                    return
                yield
