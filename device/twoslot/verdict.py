# How an attempt of tick() ended, and when to look again.
import twoslot

from twoslot.errors import LinkError, ReleaseError


def reached(agent, due, error):
    """Draw the conclusions from an attempt that came to its end, or broke. True when it goes on later."""
    if agent and agent.interval is not None:
        due.every(agent.interval)
    if error is None:
        twoslot._etag = agent.etag
        due.done()
        agent.turn("finish")
        return False
    twoslot.keep(error)
    if isinstance(error, LinkError):
        due.failed(agent.retry_after)
        return agent.state != 0
    if isinstance(error, ReleaseError):
        # What cannot be read or trusted, or is another document, may be right next time: a captive portal.
        code = error.args[0]
        if agent.believed and code > 24 and code != 37:
            twoslot._etag = agent.etag
            due.done()
            return False
        twoslot._etag = None
    due.failed()
    return False
