# One line of a file list (FORMATS.md): whoever reads a list knows one line and the path of the line before.
from micropython import const

from twoslot.constants import PACK_FILE

_FILE_MOST = const(0x100000)  # bytes
_PATH_MOST = const(96)
_NAME_MOST = const(64)


def parse(line, previous):
    """Return (digest in hex, length, path) of a line without its end; None when it breaks a rule.

    All are bytes but the length. previous: path of the line before, b"" at the first.
    """
    at = line.find(b" ", 65)
    size, path = line[65:at], line[at + 1 :]
    if line[64:65] != b" " or at < 66 or at > 72 or not size.isdigit() or size[0] == 48 and at > 66:
        return None
    for c in line[:64]:
        if c not in b"0123456789abcdef":
            return None
    for c in path:
        if not 32 <= c < 127 or c == 92:  # a backslash
            return None
    for name in path.split(b"/"):
        if not 0 < len(name) <= _NAME_MOST or name in (b".", b"..") or name.strip() != name:
            return None
    if len(path) > _PATH_MOST or path == b"boot.py" or int(size) > _FILE_MOST:
        return None
    if path[:8] == b"twoslot." and path != PACK_FILE:
        return None
    # "/" comes before every other character: a folder follows a file of its name at once.
    if path.replace(b"/", b"\0") <= previous.replace(b"/", b"\0"):
        return None
    if previous and path.startswith(previous + b"/"):
        return None
    return line[:64], int(size), path
