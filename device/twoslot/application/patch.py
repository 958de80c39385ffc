# Makes files of the new application from those of the running one and a patch (FORMATS, application patch),
# while it comes. A patch is not signed: unpacking.py, which follows in any case, takes a file by its digest,
# and brings what is missing as it does without a patch. A stage of an update.
from binascii import hexlify, unhexlify
from hashlib import sha256

from twoslot import codes, drop
from twoslot.application import progress, file_list, folder
from twoslot.application.progress import close, restart
from twoslot.constants import (
    PIECE, P_BUFFER, P_DIGEST, P_FOLDER, P_LIST, P_NUMBER, P_PHASE, P_RUNNING, P_SOURCE, P_TARGET,
    STAGE_APP_FILES,
)  # fmt: skip
from twoslot.errors import LinkError

_NUMBERS = 16  # bytes of the numbers of an operation


def step(agent):
    """Ask for the patch once, then make the next piece of a file."""
    p = agent.progress
    try:
        if agent.request is None:
            if not agent.address:
                from twoslot import resolver

                return resolver.look_up(agent, agent.server)
            import deflate  # without it there is nothing to ask for

            # All that a request needs, from this frame: it is high up on the stack.
            from twoslot.http import response, lines, connection, request

            if agent.identity:
                from twoslot import hmac
                from twoslot.http import identity
            agent.source = response
            p[P_BUFFER] = None  # the request needs the memory
            name = hexlify(agent.plan["list"][:16]).decode(), agent.plan["ways"]
            agent.request = response.get(agent, "patches/%s-%s.files" % name)
        for _ in agent.request:
            if not p[P_PHASE]:
                agent.waiting = True
            return
        if not p[P_PHASE]:
            drop("http.request", "http.connection", "http.identity", "hmac")
            if not agent.response.chunked:
                drop("http.lines")
            if agent.response.unsized or agent.response.left >= agent.plan["length"]:
                raise LinkError(codes.PATCH_UNUSABLE, 0)
            p[P_PHASE] = 1
            agent.request = run(agent, p)
            return
    except (LinkError, MemoryError, RuntimeError, OSError, ValueError, EOFError, ImportError) as e:
        if not isinstance(e, (MemoryError, ImportError)):
            from twoslot import failures

            where = p[P_NUMBER]
            failures.log_error(e if isinstance(e, LinkError) else LinkError(codes.PATCH_UNUSABLE, where))
    close(p)
    agent.request = agent.views = None
    if agent.source:
        agent.source.close(agent)
    drop("http.request", "http.connection", "http.identity", "hmac", "patch", "failures")
    restart(p, 0)
    p[P_BUFFER] = memoryview(bytearray(PIECE))
    p[P_PHASE], agent.stage = None, STAGE_APP_FILES


def run(agent, p):
    """Make the files that the patch has. Yields after each piece of work."""
    from twoslot.patch.stream import StreamReader, throw

    response, piece = agent.response, memoryview(bytearray(PIECE))
    response.wait_ms(5)
    while not response.fill((piece[:5],)):
        agent.waiting = True
        yield
    if piece[:4] != b"2SA1" or not 9 <= piece[4] <= 12:
        throw(0)
    stream = StreamReader(response, piece[4])
    restart(p, 0)
    p[P_LIST] = open(p[P_FOLDER] + "/twoslot.list", "rb")
    while True:  # ends with the list
        line = p[P_LIST].readline()
        if not line:
            return
        p[P_NUMBER] += 1
        entry = file_list.parse(line[:-1], b"")
        if stream.end - stream.start < _NUMBERS:
            for _ in stream.fill(agent):
                yield
        if not entry:
            throw(p[P_NUMBER])
        if not stream.read():
            continue  # it is the running application's, or not worth it
        name = entry[2].decode()
        try:
            if p[P_RUNNING]:
                p[P_SOURCE] = open(p[P_RUNNING] + "/" + name, "rb")
        except OSError:
            pass  # it is new
        name = p[P_FOLDER] + "/" + name
        folder.make_parents(name)
        p[P_TARGET] = open(name, "wb")
        p[P_DIGEST] = sha256()
        left, old = entry[1], 0
        while left:
            if stream.end - stream.start < _NUMBERS:
                for _ in stream.fill(agent):
                    yield
            copy, literals = stream.read(), stream.read()
            if copy & 1:
                n = stream.read()
                old += n >> 1 ^ -(n & 1)
            copy >>= 1
            left -= copy + literals
            if left < 0 or old < 0 or not copy + literals or copy and not p[P_SOURCE]:
                throw(p[P_NUMBER])
            if copy:
                p[P_SOURCE].seek(old)
            old += copy + literals
            while copy + literals:
                if copy:
                    view = piece[: min(copy, PIECE)]
                    n = p[P_SOURCE].readinto(view)
                    view = view[:n]
                    copy -= n
                else:
                    if stream.start == stream.end:
                        for _ in stream.fill(agent):
                            yield
                    n = min(literals, stream.end - stream.start)
                    view = stream.buffer[stream.start : stream.start + n]
                    stream.start += n
                    literals -= n
                if not n:
                    throw(p[P_NUMBER])
                p[P_DIGEST].update(view)
                p[P_TARGET].write(view)
                if n == PIECE:
                    yield
        p[P_TARGET].close()
        p[P_TARGET] = None
        if p[P_SOURCE]:
            p[P_SOURCE].close()
            p[P_SOURCE] = None
        agent.written += 1
        agent.tries = 0
        agent.blocks_in_place = p[P_NUMBER], agent.plan["files"]
        if p[P_DIGEST].digest() != unhexlify(entry[0]):
            throw(p[P_NUMBER])
