# Chooses how the missing blocks come: as a patch of the running image, as the whole image deflated, or as
# they are. What fails is not tried again in this attempt, and what comes next in that order takes its place.
from twoslot import codes, drop
from twoslot.constants import BLOCK, PATCH_TRIES, STAGE_DOWNLOAD, STAGE_PATCH
from twoslot.errors import LinkError


def step(agent):
    """Ask for the patch that comes next, and go on with it if it is the shorter way: a stage of an update."""
    ways, progress = agent.plan["encodings"], agent.progress
    if not ways or not progress["left"] or agent.pushed is not None:
        agent.stage = STAGE_DOWNLOAD
        return
    if agent.request is None:
        if progress["tries"] == PATCH_TRIES:
            give_up(agent)
            return
        progress["tries"] += 1
        # All that a request needs, from this frame: it is high up on the stack.
        from twoslot import connection
        from twoslot.http import response, lines, request

        if agent.identity:
            from twoslot import hmac
            from twoslot.http import identity
        agent.source = response
        agent.request = response.get(agent, address(agent))
    try:
        for _ in agent.request:
            agent.waiting = True
            return
    except LinkError as e:
        if e.args[0] not in (codes.HTTP_STATUS, codes.REDIRECT):
            raise
        give_up(agent)  # there is none
        return
    finally:
        if not agent.waiting:
            drop("http.request", "http.identity", "connection", "hmac")
    agent.request = None
    if agent.response.unsized or agent.response.left >= progress["left"] * BLOCK:
        give_up(agent)
    else:
        agent.stage = STAGE_PATCH


def give_up(agent):
    """Leave this way to the blocks."""
    agent.plan["encodings"].pop(0)
    agent.progress["tries"] = 0
    agent.request = None
    if agent.source:
        agent.source.close(agent)


def address(agent):
    """The name of the patch on the server."""
    new, old = agent.plan["sha256"][:16].hex(), agent.place[4][:16].hex()
    if agent.plan["encodings"][0] == "patch":
        return "patches/%s-%s.patch" % (new, old)
    return "patches/%s.patch" % new
