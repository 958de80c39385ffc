# The array of numbers that patch/blocks.py and what goes on with a piece share. device/native/patch.h has
# the same order.
from micropython import const

CHUNK = const(512)  # bytes of the old image that are predicted together (FORMATS, patch)

N_COPY = const(0)  # bytes of the operation that are still to be copied
N_LITERALS = const(1)  # and behind them, bytes that the stream has
N_EDITS = const(2)  # of the copy, with the one at hand
N_OLD = const(3)  # where the next byte is copied from, in the old image
N_SPOT = const(4)  # where the next byte is edited, in the piece
N_RUN = const(5)  # bytes of this edit that are left; 0: its numbers come next
N_AT = const(6)  # bytes of the piece that are made
N_END = const(7)  # bytes of the piece
N_START = const(8)  # the bytes of the stream that come next: data[start:last]
N_LAST = const(9)
N_DRY = const(10)  # 1: no more bytes come
N_MISSING = const(11)  # 0: the block is in place, and nobody wants what is in the piece
N_FIRST = const(12)  # where the piece lies in the new image
N_LENGTH = const(13)  # of the new image
N_OLD_LENGTH = const(14)
N_BASE = const(15)  # where the chunk lies in the old image; -1: nothing was read
N_FLAGS = const(16)  # of the chunk: 1 pointers, 2 calls, 4: it was just read
N_DELTA = const(17)  # how much further on in the new image it was predicted to be
N_COUNT = const(18)  # entries of the map
N_LOW = const(19)  # chunk[low:high] is predicted
N_HIGH = const(20)
N_MAP = const(21)  # all keys, then all shifts

# What goes on with a piece returns one of these.
PIECE_MADE = const(0)
INPUT_WANTED = const(1)  # of the stream
CHUNK_WANTED = const(2)  # of the old image
UNUSABLE = const(3)
