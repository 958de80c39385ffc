# Which of the two packs of twoslot runs (FORMATS.md, application record): the boot hook has it mounted. Never
# replaced over the air: it counts the starts of a pack on trial itself, which may not even be able to begin.
# Its names are those that the firmware or twoslot has: each other one would stay on the heap.
import machine
import os
import sys

from hashlib import sha256


def choice():
    """Return (pack, on_trial): 0 or 1, and whether it has to prove itself. Spends a start of its trial."""
    record, sequence = b"", -1
    for path in ("/twoslot.app0", "/twoslot.app1"):
        try:
            with open(path, "rb") as f:
                read = f.read()
        except OSError:
            continue
        if read[:4] == b"2SB2" and read[120:] == sha256(read[:120]).digest()[:8]:
            n = int.from_bytes(read[4:8], "little")
            if n > sequence:
                record, sequence = read, n
    if not record:
        return 0, False
    pack, starts = record[78] & 1, record[79]
    if not starts:
        return pack, False
    if not machine.mem32[0x600013F8] & 0xFF:  # the chip started: a soft reset goes on with its attempt
        starts -= 1
        if not starts or not save(record, sequence + 1, starts):
            return 1 - pack, False
    return pack, True


def save(record, n, count):
    """Write the record with the sequence n and so many starts, as record.py does. False: that failed."""
    path = "/twoslot.app%d" % (n & 1)
    record = record[:4] + n.to_bytes(4, "little") + record[8:79] + bytes((count,)) + record[80:120]
    record += sha256(record).digest()[:8]
    try:
        with open("/twoslot.app.part", "wb") as f:
            f.write(record)
        os.rename("/twoslot.app.part", path)
        with open(path, "rb") as f:
            return f.read() == record
    except OSError:
        return False


def mount():
    """Mount a pack at /twoslot, the other one where it is not there; tell the hook whether it is on trial."""
    try:
        if os.stat("/twoslot")[2]:
            return  # Ctrl-C had the hook begin anew: this start is counted already
    except OSError:
        pass
    from twoslot_pack import Pack

    pack, trial = choice()
    for n in (pack, 1 - pack):
        try:
            os.mount(Pack("/twoslot.pack2"[: 13 + n]), "/twoslot")
            machine.mem32[0x600013E4] = 0x200 if trial and n == pack else 0
            return
        except (OSError, IndexError):
            pass  # it is not there, or nothing is in it


mount()
sys.modules.pop(__name__, None)  # only the pack stays on the heap
