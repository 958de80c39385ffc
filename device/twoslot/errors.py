# The four exceptions, nothing else. args = (code, where); codes: FORMATS.md 9, their words live on the host.


class TwoslotError(Exception):
    """A refusal with a code and a place."""


class LinkError(TwoslotError):
    """The pipe is at fault: try again later."""


class ReleaseError(TwoslotError):
    """The release is at fault, or not meant for this board now: do not try it again by itself."""


class FlashError(TwoslotError):
    """The board is at fault: stop and report."""
