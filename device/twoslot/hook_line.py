# boot.py: a trial has its deadline only if boot.py runs the boot hook. Checked before an update is
# downloaded; loaded for that only.
import machine
import os

from micropython import const

import twoslot

from twoslot import codes
from twoslot.constants import STAGE_APP_LISTING, STAGE_SPARE, STATE_LIST
from twoslot.errors import FlashError

_LINE = b'__import__("twoslot_boot")  # twoslot\n'
_KEPT = const(0x600013D8)  # FORMATS.md, RTC tail
_REPAIRED = const(20)
_NO_IMPORT = const(6)  # FORMATS.md, end of an attempt
_BOOT, _PART, _HOOK = "/boot.py", "/boot.py.part", "/twoslot_boot.py"


def step(agent):
    """Require that the hook ran in this start, from its file, and that boot.py has its line: a stage of an
    update.

    Else put the line first and restart: boot.py then runs it. That is done once until power is lost.
    FlashError when it did not help: a file is missing, or somebody writes boot.py anew.
    """
    try:
        first, present = _find_line()
        try:
            # Where it is only frozen, the next firmware may have none.
            open(_HOOK).close()
        except OSError as e:
            raise FlashError(codes.NO_BOOT_HOOK, e.args[0])
        if present and twoslot.deadline is not None:
            agent.stage = STAGE_APP_LISTING if agent.state == STATE_LIST else STAGE_SPARE
            return
        word = machine.mem32
        if word[_KEPT] >> _REPAIRED & 1:
            raise FlashError(codes.NO_BOOT_HOOK, 0)
        if not first:
            try:
                _put_line_first()
            except OSError as e:
                raise FlashError(codes.NO_BOOT_HOOK, e.args[0])
        if twoslot._restart_hook:
            from twoslot import settings, restart

            if restart.wait_ms():
                raise FlashError(codes.NO_BOOT_HOOK, 0)  # until the next check, or any restart
        word[_KEPT] |= 1 << _REPAIRED
        machine.reset()
    finally:
        twoslot.drop("hook_line")


def require_in_trial():
    """In a trial in which boot.py did not run the hook: it must not last without a deadline.

    Put the hook's line first and restart: into the next attempt, for this one reached the updater. Where
    the line is first already, another boot.py ran: one that is frozen into the release, under which no trial
    would ever have a deadline again. There the trial ends, and where the line cannot be written.
    """
    first = _find_line()[0]
    hook = twoslot._restart_hook
    if hook:
        try:
            hook[0]()
        except Exception:
            pass
    word = machine.mem32
    word[_KEPT + 32] = _NO_IMPORT  # the note
    if not first:
        try:
            open(_HOOK).close()
            _put_line_first()
            # As the hook does.
            __import__("esp").flash_write(word[_KEPT + 20] >> 8 & 0xFFFFFF, bytearray(4))
            word[_KEPT + 32] = 0
        except OSError:
            pass
    machine.reset()


def _find_line():
    # Whether the hook's line is the first statement of boot.py, and whether it is there at all.
    try:
        with open(_BOOT, "rb") as f:
            is_first = True
            line = f.readline()
            while line:
                # At the top level of the file, as deploy writes it, or as a person does.
                if line[:26] == _LINE[:26] or line[:7] == b"import " and line[7:19] == _LINE[12:24]:
                    return is_first, True
                is_first = is_first and (not line.strip() or line[:1] == b"#")
                line = f.readline()
    except OSError:  # there is no boot.py
        pass
    return False, False


def _put_line_first():
    # Written beside it and renamed: whenever power is lost, there is the old file or the new one.
    with open(_PART, "wb") as to:
        to.write(_LINE)
        try:
            with open(_BOOT, "rb") as f:
                piece = f.read(256)
                if piece[:3] == b"\xef\xbb\xbf":  # a byte order mark, which MicroPython does not read
                    piece = piece[3:]
                while piece:
                    to.write(piece)
                    piece = f.read(256)
        except OSError as e:
            if e.args[0] != 2:  # there was no boot.py
                raise
    os.rename(_PART, _BOOT)
