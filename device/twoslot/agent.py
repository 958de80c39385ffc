# One check or update: step() does one bounded piece of work. What must outlive a reset is in the journal.
# What one part leaves to the next are dicts and numbers: an object keeps its class, a class its module.
import gc

from micropython import const

from twoslot import drop
from twoslot.errors import LinkError, TwoslotError

_IDLE = const(0)
_HEAD = const(1)
_TABLE = const(3)
_FETCH = const(5)
_ARM = const(7)
_DONE = const(8)
_TRIES = const(8)  # lost connections in a row, without a block gained, before this attempt ends


class Agent:
    """What the steps of an update share; they are in http, trust, image and boot/actions.py."""

    def __init__(self):
        from twoslot import settings

        s = settings.load()
        self.server, self.product, self.channel = s["server"], s["product"], s["channel"]
        self.attempts, self.auto = s["attempts"], s["confirm"] == "auto"
        s = settings = None
        drop("settings")
        self.answer = self.etag = None
        self.retry_after = 0
        self.interval = None
        self.end()

    def begin(self, force=False, download=True, etag=None):
        """Start over with a look at the head. download=False stops once the release was judged."""
        self.end()
        self.force, self.download, self.etag = force, download, etag
        self.believed = False  # a head of this attempt was signed and judged
        self.interval = self.offered = None  # what that head says
        self.state = _HEAD

    def step(self):
        """Do the next piece. True while there is more; after a LinkError too, while state is set."""
        try:
            if self.state < _TABLE:
                if self.facts is None:
                    self.turn("facts")
                try:
                    from twoslot.http import documents

                    text = documents.step(self)
                    documents = None
                    drop("http.documents")
                    from twoslot.trust import verify

                    self.state = verify.step(self, text)
                finally:
                    documents = verify = text = None
                    drop("http.documents", "trust", "settings")
                    if self.news or self.keys:
                        self.turn("remember")
            elif self.state < _ARM:
                if self.spare is None:
                    self.head = self.facts = None
                    self.turn("declare")
                    gc.collect()
                if self.url:
                    self._open()
                    gc.collect()
                # One of the two is in memory: each request lets go of both, and so does each change of state.
                was = self.state
                if was == _FETCH or was == _TABLE and self.answer:
                    from twoslot.image import download

                    self.state = download.step(self)
                else:
                    from twoslot.image import scan

                    self.state = scan.step(self)
                download = scan = None
                if self.state != was:
                    self.spare["pieces"] = None
                    drop("image")
            else:
                self.hang_up()
                self.spare = self.sha = None
                drop("image", "boot", "http")
                self.turn("arm")
                self.state = _DONE
        except LinkError as e:
            self.hang_up()
            self.retry_after = e.args[2] if len(e.args) > 2 else 0
            self.tries += 1
            # Before anything was written, and after enough tries, the next attempt is the schedule's.
            if self.state < _TABLE or self.tries > _TRIES:
                self.end()
            raise
        except TwoslotError:
            self.end()
            raise
        return self.state not in (_IDLE, _DONE)

    def end(self):
        """Forget this attempt; what the spare slot holds by now serves the next one."""
        self.hang_up()
        self.state = _IDLE
        self.keys = None  # a later epoch of them, believed: (document, what the journal is to know)
        self.who = None  # what http/identity.py makes of a secret; False without one
        self.facts = self.head = self.news = self.plan = self.spare = self.sha = self.url = self.span = None
        self.tries = self.next = self.until = self.fetched = self.bytes = self.again = self.followed = 0
        drop("http", "image", "trust", "boot")

    @property
    def progress(self):
        """(blocks in place, blocks of the image), or (0, 0) while that is not known."""
        w = self.spare
        return (w["blocks"] - w["left"], w["blocks"]) if w and self.state >= _FETCH else (0, 0)

    def turn(self, act):
        """Do what touches the journal (boot/actions.py), with everything else about it out of memory."""
        from twoslot.boot import actions

        try:
            return actions.do(self, act)
        finally:
            actions = None
            drop("boot", "trust")

    def get(self, url, etag=None, span=(0, 0)):
        """Ask the server; return the answer, whose connection is kept until hang_up()."""
        from twoslot.http import request

        kept, self.answer = self.answer, None
        try:
            self.answer = request.get(self.server, url, kept, etag, span[0], span[1], self.who)
            return self.answer
        finally:
            request = None
            drop("http.request", "http.identity", "secret")

    def hang_up(self):
        """Close the connection and forget the answer."""
        if self.answer:
            self.answer.close()
            self.answer = None
            gc.collect()

    def _open(self):
        # With nothing of the transfer in memory, not even its buffer.
        url, self.url = self.url, None
        self.spare["pieces"] = None
        drop("image", "boot")
        if self.get(url, None, self.span).status == 200 and self.span[1]:
            # A server without ranges sends everything: then blocks that are in place are read past.
            self.next, self.until = 0, self.spare["blocks"]
