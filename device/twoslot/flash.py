# The flash chip below an update.
import esp
import machine

from micropython import const

from twoslot import codes
from twoslot.constants import BLOCK, PIECE
from twoslot.errors import FlashError

_CHIP_SIZE = const(0x3FFFC71C)  # flashchip->chip_size in the ROM's data bounds every flash call


class Flash:
    """The flash by byte address."""

    def __init__(self):
        # The JEDEC id's capacity byte: the only size that is true.
        self.size = 1 << (esp.flash_id() >> 16 & 0xFF)

    def read(self, addr, buf):
        """Fill buf from the flash."""
        self._call(esp.flash_read, addr, buf, addr + len(buf))

    def write(self, addr, buf):
        """Program buf, which lies in RAM and is a multiple of 4 bytes long."""
        self._call(esp.flash_write, addr, buf, addr + len(buf))

    def erase(self, addr):
        """Erase the sector of 4096 bytes that starts at addr."""
        self._call(esp.flash_erase, addr // BLOCK, None, addr + BLOCK)

    def is_blank(self, addr, n, piece):
        """True when n bytes, rounded up to 512, read 0xFF. piece: a memoryview of 512 to read them into."""
        one, other = piece[1:], piece[:-1]
        for at in range(addr, addr + n, PIECE):
            self.read(at, piece)
            if piece[0] != 0xFF or one != other:
                return False
        return True

    def _call(self, call, place, buf, end):
        # The slots lie above the usual chip_size. It is raised around this one call only: the SDK
        # computes the place of its own parameters from it, and must not see it raised at any other
        # time.
        mem = machine.mem32
        usual = mem[_CHIP_SIZE]
        try:
            if end > usual:
                mem[_CHIP_SIZE] = self.size
            if buf is None:
                call(place)
            else:
                call(place, buf)
        except OSError as e:
            raise FlashError(codes.FLASH_CALL, e.args[0])
        finally:
            if end > usual:
                mem[_CHIP_SIZE] = usual
