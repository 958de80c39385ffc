# The four exceptions. args = (code, where): codes.py names the codes, FORMATS.md, error codes says what
# `where` is.

class TwoslotError(Exception):
    """A refusal with a code and a place."""


class LinkError(TwoslotError):
    """The connection failed: try again later."""


class ReleaseError(TwoslotError):
    """The release is wrong, or not for this board now: do not repeat the attempt at once."""


class FlashError(TwoslotError):
    """The board is at fault: stop and report."""
