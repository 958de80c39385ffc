# GET over one kept-alive connection. No redirects: they carry no trust, and to HTTPS they do not work here.
from micropython import const

from twoslot.answer import Answer
from twoslot.errors import LinkError

_WRITE_S = const(10)


class Http:
    """A server by its base address. get() starts an answer, readinto() takes its body, close() always."""

    def __init__(self, port, base):
        self.port = port
        self.base = base[:-1] if base.endswith("/") else base
        self.sock = self.peer = self.answer = None
        self.rx = memoryview(bytearray(256))

    def get(self, url, etag=None, start=0, end=0):
        """Ask for url, or for its bytes start to end - 1. Returns the status: 200, 206 or 304."""
        if not url.startswith("http://"):
            url = self.base + "/" + url
        if not url.startswith("http://"):
            raise LinkError(2, 0)
        slash = url.find("/", 7)
        host, path = (url[7:slash], url[slash:]) if slash > 0 else (url[7:], "/")
        ask = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: twoslot\r\n" % (path, host)
        ask += "Accept-Encoding: identity\r\n"
        if etag:
            ask += "If-None-Match: %s\r\n" % etag
        if end:
            ask += "Range: bytes=%d-%d\r\n" % (start, end - 1)
        answer = self.answer = self._ask(host, (ask + "\r\n").encode())
        status = answer.status
        if status == 304 and etag:
            return status
        if 300 <= status < 400:
            raise LinkError(8, status)
        if status not in (200, 206):
            raise LinkError(7, status)
        if status == 206 and (not end or answer.start != start):
            raise LinkError(10, start)
        return status

    def text(self, url, view, etag=None):
        """Fetch a whole small body into view. Returns its length, or -1 when it is still what etag names."""
        if self.get(url, etag) == 304:
            return -1
        answer = self.answer
        if not answer.unsized and answer.left > len(view):
            raise LinkError(9, answer.left)
        n = answer.readinto(view)
        if n == len(view) and answer.readinto(memoryview(bytearray(1))):
            raise LinkError(9, n + 1)
        return n

    def readinto(self, view):
        """Fill view from the body; less only at its end. Returns the number of bytes."""
        return self.answer.readinto(view)

    def close(self):
        """Hang up."""
        if self.sock:
            self.sock.close()
        self.sock = self.answer = None

    def _ask(self, host, request):
        if self.answer and self.answer.idle and self.peer == host:
            # A server may close a kept connection at any time: then the same once more on a new one.
            try:
                return self._send(request)
            except LinkError as e:
                if e.args[0] not in (3, 5):
                    raise
        self.close()
        self.peer = host
        colon = host.find(":")
        try:
            number = int(host[colon + 1 :]) if colon > 0 else 80
        except ValueError:
            raise LinkError(2, 0)
        self.sock = self.port.connect(host[:colon] if colon > 0 else host, number)
        return self._send(request)

    def _send(self, request):
        try:
            self.sock.settimeout(_WRITE_S)
            self.sock.write(request)
            self.sock.settimeout(0)
        except OSError as e:
            raise LinkError(3, e.args[0])
        return Answer(self.port, self.sock, self.rx)
