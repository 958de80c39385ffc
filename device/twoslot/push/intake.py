# A release that was pushed: the agent takes it in as it takes one from a server, piece by piece, at each
# tick(). Loaded until that has ended.
import time

from micropython import const

import twoslot

from twoslot.constants import STAGE_APP_ACTIVATION, STAGE_APP_VERIFICATION, STATE_DONE, STATE_VERIFY

_SLICE_MS = const(250)  # of a stage's work in a call
_READ_BACK = (STAGE_APP_VERIFICATION, STAGE_APP_ACTIVATION)

listener = others = None  # the first is set by preparation.py


def go_on():
    """Take in the next piece, in the place of the listener's poll()."""
    global others
    begun, agent, over = time.ticks_ms(), listener.agent, True
    try:
        # Every other call: whoever comes meanwhile must not keep the push from going on.
        others = not others
        other = others and listener.accept()
        if other or twoslot._agent is not agent:
            # The board is busy: with this push, or somebody at the REPL began something else.
            over = not other
            listener.run_step("reply", other)
            return
        had, stage, more = has_all(agent), agent.stage, True
        # From this frame: there the stages have their stack (memory.md).
        while more and stage == agent.stage and time.ticks_diff(time.ticks_ms(), begun) < _SLICE_MS:
            more = agent.step()
        twoslot.drop("push.offer")  # trust/verify.py read it
        if has_all(agent) and not had:
            from twoslot.push import upload

            upload.ask(listener, "nothing")
        if STATE_VERIFY < agent.state <= STATE_DONE:
            listener.body = agent.response = agent.source = upload = None  # an object keeps its class
            twoslot.drop("push.upload")
        if not stage:
            listener.run_step("finish")
        over = False
    except Exception as e:
        listener.error = e
        if twoslot._agent is agent:
            twoslot.unload()
        listener.run_step("reply")
    finally:
        if over:
            end(listener, agent)


def has_all(agent):
    # Whether nothing more comes from the client.
    return STATE_VERIFY <= agent.state <= STATE_DONE or agent.stage in _READ_BACK


def end(listener, agent):
    listener.enter(listener.poll)
    listener.end_connection()
    if twoslot._agent is agent:
        twoslot.unload()
    twoslot.drop("push.upload", "push.intake")
