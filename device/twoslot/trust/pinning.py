# Makes the journal mean the keys that lie in the files. A person does this with a cable: `slotbench
# deploy` runs it after it wrote them. Over the air only rotation.py does.
from twoslot import codes, flash, settings
from twoslot.boot import page, journal, slots, control, head
from twoslot.errors import FlashError
from twoslot.trust import keyring


def pin():
    """Pin the keys in the files. True when the journal meant others, or none; False when it means these.

    A release on trial must have proven itself first.
    """
    s = settings.load()
    state = control.BootControl(flash.Flash(), s["attempts"]).open()
    epoch, _, digest, issued = keyring.trusted_keys("online", s["product"], {"epoch": 0, "keys": None})
    cell = state.cell
    if (cell.key_epoch, cell.keys) == (epoch, digest):
        return False
    if not state.confirmed:
        raise FlashError(codes.NOT_CONFIRMED, cell.states[state.slot])
    first = {"epoch": epoch, "seq": 0, "issued": issued, "tag": cell.channel_tag, "keys": digest}
    head.remember(state, first)
    return True
