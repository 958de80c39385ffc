# Goes on with a piece of the image (FORMATS, patch) where device/native/patch.c cannot be loaded. It does the
# same, and is slower by far.
from micropython import const

from twoslot.constants import BLOCK
from twoslot.patch.layout import (
    CHUNK, CHUNK_WANTED, INPUT_WANTED, N_AT, N_BASE, N_COPY, N_COUNT, N_DELTA, N_DRY, N_EDITS, N_END,
    N_FIRST, N_FLAGS, N_HIGH, N_LAST, N_LENGTH, N_LITERALS, N_LOW, N_MAP, N_MISSING, N_OLD, N_OLD_LENGTH,
    N_RUN, N_SPOT, N_START, PIECE_MADE, UNUSABLE,
)  # fmt: skip

_NUMBERS = const(32)  # bytes of the numbers of an operation
_FLASH_KEY = const(0x200000)
_RAM_KEY = const(0xFE8000)


class Interpreter:
    """For the map in these numbers."""

    def __init__(self, numbers):
        # So many entries lie before each 4 KB of the keys of flash: few are left to search.
        self.index = index = bytearray(257)
        n = 0
        for i in range(257):
            while n < numbers[N_COUNT] and numbers[N_MAP + n] < _FLASH_KEY + (i << 12):
                n += 1
            index[i] = n

    def update(self, numbers, piece, chunk, data):
        """Go on with the piece until it is made, it is unusable, or something is missing: return which.

        numbers: of layout.py. piece, chunk: what is made and what was read of the old image. data: of the
        stream.
        """
        copy, literals, edits, old = numbers[N_COPY], numbers[N_LITERALS], numbers[N_EDITS], numbers[N_OLD]
        spot, run, at, end = numbers[N_SPOT], numbers[N_RUN], numbers[N_AT], numbers[N_END]
        start, last, place = numbers[N_START], numbers[N_LAST], numbers[N_FIRST]
        enough = last if numbers[N_DRY] else last - _NUMBERS
        view = memoryview(chunk)
        result = UNUSABLE
        while True:
            if start > enough:
                result = INPUT_WANTED
                break
            if edits:
                if not run:
                    n = data[start] if start < last else 128
                    start += 1
                    run = (n & 3) + 1
                    if n > 127 or run == 4:  # most are short
                        numbers[N_START] = start - 1
                        n = _read(numbers, data)
                        run = (n & 3) + 1
                        if run == 4 and n >= 0:
                            run += _read(numbers, data)
                            if run < 4:
                                break
                        start = numbers[N_START]
                        if n < 0:
                            break
                    spot += n >> 2
                if spot < at:
                    n = min(run, at - spot, last - start)
                    if not n:
                        break
                    run -= n
                    while n:
                        piece[spot] = piece[spot] + data[start] & 255
                        spot += 1
                        start += 1
                        n -= 1
                    if not run:
                        edits -= 1
                    elif spot == at and (not copy or not (place + at) % BLOCK):
                        break
                    continue
                if not copy:
                    break
            if at == end:
                result = PIECE_MADE
                break
            if copy:
                first = old & CHUNK - 1
                n = min(end - at, copy, CHUNK - first)
                if numbers[N_MISSING]:
                    flags, high = numbers[N_FLAGS], min(CHUNK, first + copy)
                    if numbers[N_BASE] != old - first or (
                            flags & 2 and numbers[N_DELTA] != place + at - old) or (
                            not flags & 4 and (first < numbers[N_LOW] or high > numbers[N_HIGH])):
                        result = CHUNK_WANTED
                        break
                    if flags & 4:
                        numbers[N_FLAGS] = flags = flags & 3
                        numbers[N_LOW], numbers[N_HIGH] = (first, high) if flags else (0, CHUNK)
                        _predict(self.index, numbers, chunk, first, high)
                    piece[at : at + n] = view[first : first + n]
                old += n
                copy -= n
            elif literals:
                n = min(end - at, literals, last - start)
                if not n:
                    break
                piece[at : at + n] = data[start : start + n]
                start += n
                literals -= n
            else:
                numbers[N_START] = start
                copy, literals = _read(numbers, data), _read(numbers, data)
                if copy < 0 or literals < 0 or not 0 < copy + literals <= numbers[N_LENGTH] - place - at:
                    break
                if copy:
                    n, edits = _read(numbers, data), _read(numbers, data)
                    old += n >> 1 ^ -(n & 1)
                    if n < 0 or edits < 0 or not 0 <= old <= numbers[N_OLD_LENGTH] - copy:
                        break
                    spot = at
                start = numbers[N_START]
                continue
            at += n
        numbers[N_COPY], numbers[N_LITERALS], numbers[N_EDITS], numbers[N_OLD] = copy, literals, edits, old
        numbers[N_SPOT], numbers[N_RUN], numbers[N_AT], numbers[N_START] = spot, run, at, start
        return result


def _predict(index, numbers, raw, first, last):
    # Make raw[first:last] of the chunk what it may be in the new image.
    flags, base, delta = numbers[N_FLAGS], numbers[N_BASE], numbers[N_DELTA]
    find, count, length = raw.find, numbers[N_COUNT], numbers[N_OLD_LENGTH]
    end = min(CHUNK, length - base)
    # What lies before that decides where calls begin; pointers lie on words.
    for top, lowest in ((b"\x40", 0), (b"\x3f", _RAM_KEY)) if flags & 1 else ():
        at = find(top, 3 if flags & 2 else first | 3, end)
        while 0 <= at < last + 3:
            if at & 3 == 3:
                key = raw[at - 3] | raw[at - 2] << 8 | raw[at - 1] << 16
                if key >= lowest:
                    low, high = 0, count
                    i = (key - _FLASH_KEY) >> 12
                    if 0 <= i < 256:
                        low, high = index[i], index[i + 1]
                    while low < high:
                        middle = (low + high) >> 1
                        if numbers[N_MAP + middle] <= key:
                            low = middle + 1
                        else:
                            high = middle
                    if low:
                        key += numbers[N_MAP - 1 + count + low]
                    raw[at - 3], raw[at - 2], raw[at - 1] = key & 255, key >> 8 & 255, key >> 16 & 255
            at = find(top, at + 1, end)
    # CALL0 goes to a place relative to its own: two bits of its first byte, and the two behind it.
    # Each of its four first bytes is found from the last one on: far faster than a look at each byte.
    if not flags & 2 or end < 3:
        return
    at, end = 0, min(end - 2, last)
    a = b = c = d = -1
    first -= 3
    while True:
        # One that is not there is at 1023.
        if a < at:
            a = find(b"\x05", at, end) & 1023
        if b < at:
            b = find(b"\x45", at, end) & 1023
        if c < at:
            c = find(b"\x85", at, end) & 1023
        if d < at:
            d = find(b"\xc5", at, end) & 1023
        at = min(a, b, c, d)
        if at == 1023:
            return
        words = raw[at] >> 6 | raw[at + 1] << 2 | raw[at + 2] << 10
        place = base + at
        target = (place & ~3) + 4 + (((words ^ 0x20000) - 0x20000) << 2)
        if not 0 <= target < length:
            at += 1
            continue
        if at > first:
            low, high = index[target >> 12], index[(target >> 12) + 1]
            key = target + _FLASH_KEY
            while low < high:
                middle = (low + high) >> 1
                if numbers[N_MAP + middle] <= key:
                    low = middle + 1
                else:
                    high = middle
            key = numbers[N_MAP - 1 + count + low] if low else 0
            if key != delta or key & 3:
                words = target + key - (place + delta & ~3) - 4 >> 2
                raw[at] = raw[at] & 63 | (words & 3) << 6
                raw[at + 1], raw[at + 2] = words >> 2 & 255, words >> 10 & 255
        at += 3


def _read(numbers, data):
    # The next number of the stream; -1 where it does not end.
    start = numbers[N_START]
    n = shift = 0
    while shift < 28 and start < numbers[N_LAST]:
        b = data[start]
        start += 1
        n |= (b & 127) << shift
        if b < 128:
            numbers[N_START] = start
            return n
        shift += 7
    return -1
