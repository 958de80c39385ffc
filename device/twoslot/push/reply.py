# Responses of the push port.
import twoslot

from twoslot import codes
from twoslot.errors import LinkError

_WAIT_S = 0.1  # for a stranger; what is sent fits into the socket's buffer


def handle(listener, sock):
    """Send the refusal listener.error: code and place. 0 at 0: no memory; 0 at 1: a defect."""
    e = listener.error
    if e is None:
        e = LinkError(codes.BUSY, 0)
        try:
            sock.settimeout(_WAIT_S)
            sock.recv(512)  # unread bytes would reset the connection
        except OSError:
            pass  # then the client sees no response
    from twoslot import failures

    failures.log_error(e)
    twoslot.drop("failures")
    code, where = e.args[:2] if len(e.args) > 1 else (0, 0 if isinstance(e, MemoryError) else 1)
    status = 500
    if code == codes.BUSY:
        status = 503
    elif code in (codes.STALE_CHALLENGE, codes.WRONG_SECRET):
        status = 401
    elif codes.DOCUMENT_UNREADABLE <= code < 50:
        status = 403
    elif 0 < code < codes.BUSY:
        status = 400
    send_response(sock, status, "%d at %d" % (code, where))
    sock.close()


def send_response(sock, status, text):
    """Send a response: a status, and one line."""
    head = "HTTP/1.1 %d \r\nConnection: close\r\nContent-Length: %d\r\n" % (status, len(text) + 1)
    if status == 401:
        head += "WWW-Authenticate: Twoslot\r\n"
    try:
        sock.settimeout(_WAIT_S)
        sock.write((head + "\r\n" + text + "\n").encode())
    except OSError:
        pass  # the client is gone, and will ask again
