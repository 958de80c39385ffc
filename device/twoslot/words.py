# The words for error codes. Loaded to print one, then dropped. They are the names of codes.py,
# which tools/check holds together.
from twoslot import codes

_WORDS = (
    b",1 not-connected,2 name-not-resolved,3 connection-failed,4 timeout,5 connection-closed,6 not-http,"
    b"7 http-status,8 redirect,9 response-too-long,10 wrong-range,11 too-slow,12 block-mismatch,"
    b"13 table-mismatch,14 broker-unreachable,15 broker-protocol,16 broker-client-id,17 broker-busy,"
    b"18 broker-login,19 broker-forbids,20 document-unreadable,21 key-not-pinned,22 wrong-signature,"
    b"23 wrong-kind,24 unknown-format,25 wrong-product,26 wrong-board,27 wrong-channel,28 up-to-date,"
    b"29 below-floor,30 marked-bad,31 filesystem-elsewhere,32 mpy-version,33 filesystem-version,"
    b"34 head-expired,35 head-outdated,36 image-too-long,37 head-mismatch,38 no-image-for-slot,"
    b"39 not-in-rollout,40 paused,41 unproven,42 head-epoch,43 image-mismatch,44 quiet-hours,45 keys-epoch,"
    b"46 identity-refused,47 never-reached,48 no-time,49 no-twoslot,50 patch-unusable,51 port-unavailable,"
    b"52 unknown-request,53 stale-challenge,54 wrong-secret,55 busy,"
    b"56 development-key,60 flash-mismatch,61 journal-worn,62 flash-call,63 not-confirmed,64 no-boot-record,"
    b"65 no-other-slot,66 chip-too-small,67 no-sleep-in-trial,70 settings,71 pinned-keys,72 no-descriptor,"
    b"73 no-flash-map,74 secret,75 before-restart,76 no-boot-hook,77 driver-too-old,78 stack,79 unexpected,"
    b"80 app-firmware,81 app-data,82 file-list,83 no-room,84 file-mismatch,85 frozen-main,"
    b"86 twoslot-unproven,"
)


def print_refusal(error, running=None):
    """Print a refusal: number, word, and what the place beside the number is."""
    code, where = error.args[:2]
    place = ""
    if code in (codes.UP_TO_DATE, codes.BELOW_FLOOR, codes.MARKED_BAD):
        place = " (offered %d, running %d)" % (where, running)
    elif where:
        place = " (%d)" % where
    hint = "" if code == codes.UP_TO_DATE else "; slotbench explain %d" % code
    print("twoslot: refused: %s%s%s" % (_with_word(code), place, hint))


def print_log(log):
    """Print what log_error() remembered: milliseconds since boot, number, word, place."""
    for ms, code, where in log:
        print("%10d  %s (%d)" % (ms, _with_word(code), where))


def _with_word(code):
    # "28 up-to-date"; the number alone when it has no word.
    number = b"%d " % code
    at = _WORDS.find(b"," + number) + 1
    return (_WORDS[at : _WORDS.find(b",", at)] if at else number[:-1]).decode()
