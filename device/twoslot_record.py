# Stock firmware: what the loader leaves for the boot hook elsewhere (FORMATS.md, RTC tail). It runs at each
# start, and writes once: the SDK takes the mark away while it starts, a soft reset does not.
import machine
import sys

word = machine.mem32
if word[0x60001118] != 0x32525332:
    if word[0x600013E0] != 0x32525332:  # power was lost
        word[0x600013D8] = word[0x600013DC] = word[0x600013FC] = 0
    word[0x600013E0] = word[0x60001118] = 0x32525332
    word[0x600013E4] = word[0x600013E8] = word[0x600013F8] = 0
    word[0x600013EC] = machine.reset_cause()
sys.modules.pop(__name__, None)
