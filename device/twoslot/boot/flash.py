# The flash under an update.
import esp
import machine

from micropython import const

from twoslot.errors import FlashError

_CHIP_SIZE = const(0x3FFFC71C)  # flashchip->chip_size in the ROM's data: it bounds every ROM flash call


class Port:
    """Flash by byte address."""

    def __init__(self):
        # The JEDEC id's capacity byte: the only honest size.
        self.size = 1 << (esp.flash_id() >> 16 & 0xFF)

    def read(self, addr, buf):
        """Fill buf from flash."""
        self._call(esp.flash_read, addr, buf, addr + len(buf))

    def write(self, addr, buf):
        """Program buf; it lies in RAM and is a multiple of 4 long."""
        self._call(esp.flash_write, addr, buf, addr + len(buf))

    def erase(self, addr):
        """Erase the 4096-byte sector that starts at addr."""
        self._call(esp.flash_erase, addr >> 12, None, addr + 4096)

    def _call(self, call, place, buf, end):
        # The slots lie above the chip_size that runs normally. It is raised around this one call: the SDK
        # computes from it where its own parameters go, and must not find it raised at any other time.
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
            raise FlashError(62, e.args[0])
        finally:
            if end > usual:
                mem[_CHIP_SIZE] = usual
