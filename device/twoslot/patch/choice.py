# Where the missing blocks come from: a patch of the running image, the whole image deflated, or the image
# itself. What fails is not tried again in this attempt: what comes next in that order takes its place.
from twoslot import codes, drop
from twoslot.constants import BLOCK, PATCH_TRIES, STAGE_DOWNLOAD, STAGE_PATCH
from twoslot.errors import LinkError


def step(agent):
    """Ask for what comes next, and go on with it if it is shorter than the blocks: a stage of an update."""
    ways, progress = agent.plan["ways"], agent.progress
    if not ways or agent.pushed is not None:
        agent.stage = STAGE_DOWNLOAD
        return
    if agent.request is None:
        if progress["tries"] == PATCH_TRIES:
            remove(agent)
            return
        progress["tries"] += 1
    try:
        if agent.request is None:
            # All that a request needs, from this frame: it is high up on the stack.
            from twoslot.http import response, lines, connection, request

            if agent.identity:
                from twoslot import hmac
                from twoslot.http import identity
            agent.source = response
            from twoslot.flash import Flash

            name = agent.plan["sha256"][:16].hex()
            if ways & 1:
                # The running slot's descriptor has the digest of its image.
                page = bytearray(32)
                Flash().read(agent.place[4], page)
                name += "-" + page[16:].hex()
            agent.request = response.get(agent, "patches/%s.patch" % name)
        for name_to_resolve in agent.request:
            if name_to_resolve:
                from twoslot import resolver
            agent.waiting = True
            return
    except (LinkError, MemoryError) as e:
        if isinstance(e, LinkError) and e.args[0] not in (codes.HTTP_STATUS, codes.REDIRECT):
            raise
        remove(agent)  # there is none
        return
    finally:
        if not agent.waiting:
            drop("http.request", "http.connection", "http.identity", "hmac")
    agent.request = None
    if agent.response.unsized or agent.response.left >= progress["left"] * BLOCK:
        remove(agent)
    else:
        agent.stage = STAGE_PATCH


def remove(agent):
    """Remove the first way: it is of no use."""
    agent.plan["ways"] &= agent.plan["ways"] - 1
    agent.progress["tries"] = 0
    agent.request = None
    if agent.source:
        agent.source.close(agent)
