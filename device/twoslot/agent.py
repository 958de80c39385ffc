# One check or update: step() does one bounded piece of work. What must outlive a reset is in the journal.
import gc

from micropython import const

from twoslot import drop, settings, swap
from twoslot.errors import LinkError, ReleaseError, TwoslotError

IDLE, HEAD, RELEASE, TABLE, SURVEY, FETCH, VERIFY, ARM, DONE = 0, 1, 2, 3, 4, 5, 6, 7, 8
_STEPS = ("", "_head", "_release", "_table", "_survey", "_fetch", "_verify", "_arm")
_TRIES = const(8)  # lost connections in a row, without a block gained, before this attempt ends


class Agent:
    """The board's side of an update."""

    def __init__(self):
        # First, while the heap is whole. It holds documents, block table and blocks in turn.
        self.buf = bytearray(4096)
        self.view = memoryview(self.buf)
        self.settings = settings.load()
        self.swap = swap.Swap(self.settings)
        self.port = self.swap.port
        self.tag = swap.channel_tag(self.settings["product"], self.settings["channel"])
        self.http = None
        self.retry_after = 0
        self.end()

    def begin(self, force=False, download=True, etag=None):
        """Start over with a look at the head. download=False stops once the release was judged."""
        self.end()
        self.force, self.download, self.etag = force, download, etag
        self.believed = False  # a head of this attempt was signed and judged
        self.state = HEAD

    def step(self):
        """Do the next piece. True while there is more; after a LinkError too, while state is set."""
        try:
            self.state = getattr(self, _STEPS[self.state])()
        except LinkError:
            self._hang_up()
            self.tries += 1
            # Before anything was written, and after enough tries, the next attempt is the schedule's.
            if self.state < TABLE or self.tries > _TRIES:
                self.end()
            raise
        except TwoslotError:
            self.end()
            raise
        return self.state not in (IDLE, DONE)

    def end(self):
        """Forget this attempt; what the spare slot holds by now serves the next one."""
        self._hang_up()
        self.state = IDLE
        self.head = self.plan = self.writer = None
        self.tries = self.next = self.until = self.fetched = self.bytes = self.again = 0
        drop("fetch", "answer", "writer", "release", "seal")

    @property
    def progress(self):
        """(blocks in place, blocks of the image), or (0, 0) while that is not known."""
        w = self.writer
        return (w.blocks - w.left, w.blocks) if w and self.state >= FETCH else (0, 0)

    def _head(self):
        s = self.settings
        n, etag = self._document("heads/%s/%s.head" % (s["product"], s["channel"]), self.etag)
        if n < 0:
            return IDLE
        self.etag = None
        from twoslot import release

        epoch, _, online = settings.pinned()
        cell = self.swap.cell
        text = bytes(self.view[:n])
        self.head = release.judge_head(text, online, epoch, s, self.tag, cell, self.port.now())
        # A head fetched whole and signed is the proof that this board could update itself again.
        if not self.swap.confirmed:
            if s["confirm"] == "auto":
                self.swap.confirm(self.head)
            drop("release", "seal")
            return IDLE
        # From here on the same head gets the same answer, and need not be sent again.
        self.etag, self.believed = etag, True
        self.swap.head_seen(self.head)
        device = s.get("device_id") or self.port.device_id()
        release.want(self.head, self.swap.cell, self.swap.running, s, device, self.force)
        drop("release", "seal")
        return RELEASE

    def _release(self):
        n, _ = self._document("releases/%s.release" % self.head.release.hex(), None)
        from twoslot import release

        _, offline, _ = settings.pinned()
        text = bytes(self.view[:n])
        swap = self.swap
        self.plan = release.judge_release(
            text, self.head, offline, self.settings, swap.slots, 1 - swap.slot, swap.running)  # fmt: skip
        drop("release", "seal")
        return TABLE if self.download else IDLE

    def _table(self):
        if self.writer is None:
            spare = self.swap.empty_spare()
            from twoslot import writer

            self.writer = writer.Writer(self.port, self.swap.slots, spare, self.plan, self.buf)
        if not self.writer.table_right():
            self.writer.put_table(self._http().text(self.plan.blocks_url, self.view))
        self.next = 0
        return SURVEY

    def _survey(self):
        self.writer.survey(self.next)
        self.next += 1
        if self.next < self.writer.blocks:
            return SURVEY
        self.next = self.until = 0
        return FETCH if self.writer.left else VERIFY

    def _fetch(self):
        w = self.writer
        whole = False
        try:
            http = self._http()
            if self.next >= self.until:
                first, end = w.run()
                status = http.get(self.plan.url, None, first * 4096, min(end * 4096, w.length))
                # A server without ranges sends everything: then blocks that are in place are read past.
                self.next, self.until = (first, end) if status == 206 else (0, w.blocks)
            block = self.next
            part = w.part(block)
            n = http.readinto(part)
            self.bytes += n
            if n != len(part):
                raise LinkError(5, n)
            if w.is_missing(block):
                w.put(block)
                self.fetched += 1
                self.tries = 0
            self.next += 1
            whole = True
        finally:
            # Also after Ctrl-C: a stream that stopped inside a block is of no use.
            if not whole:
                self._hang_up()
        if w.left:
            return FETCH
        self._hang_up()
        drop("fetch", "answer")
        self.next = 0
        return VERIFY

    def _verify(self):
        w = self.writer
        w.hash(self.next)
        self.next += 1
        if self.next < w.blocks:
            return VERIFY
        if w.whole():
            return ARM
        # Some sector reads otherwise than when its block was checked: look once more, fetch what differs.
        self.next = 0
        self.again += 1
        if self.again > 2:
            raise ReleaseError(43, 0)
        return SURVEY

    def _arm(self):
        self.writer = None
        drop("writer")
        self.swap.arm(self.plan, self.settings["product"], self.head)
        return DONE

    def _document(self, url, etag):
        http = self._http()
        try:
            n = http.text(url, self.view, etag)
            return n, http.answer.etag
        finally:
            self._hang_up()
            drop("fetch", "answer")

    def _http(self):
        if self.http is None:
            from twoslot import fetch

            self.http = fetch.Http(self.port, self.settings["server"])
            self.next, self.until = 0, 0
        return self.http

    def _hang_up(self):
        if self.http:
            answer = self.http.answer
            self.retry_after = answer.retry_after if answer else 0
            self.http.close()
            self.http = None
            gc.collect()
