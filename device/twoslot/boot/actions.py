# What an update or a person does with the boot journal. Between two actions nothing of `boot` is in
# memory.
import twoslot

from twoslot.boot.control import BootControl
from twoslot.flash import Flash
from twoslot.constants import (
    ACTION_ACTIVATE_SPARE, ACTION_CONFIRM, ACTION_END_TRIAL, ACTION_INVALIDATE_SPARE, ACTION_REMEMBER,
    ACTION_ROLLBACK, ACTION_SNAPSHOT, ACTION_STATUS, STATE_DONE,
)  # fmt: skip


def step(agent):
    """Carry out the agent's action: a stage of an update."""
    agent.stage = agent.then
    if agent.action == ACTION_REMEMBER:
        commit(agent)
        if agent.refusal:
            raise agent.refusal
        if agent.facts is None:
            agent.act(ACTION_SNAPSHOT, agent.then)
    else:
        run(agent, agent.action)
        if agent.state == STATE_DONE:
            agent.stage = None
    twoslot.drop("flash", "trust")


def run(agent, action):
    """Carry out one action. Returns what the caller is to know: see each."""
    # The leaves first, all from this frame: an import inside another costs 688 bytes of stack.
    if action in (ACTION_INVALIDATE_SPARE, ACTION_ACTIVATE_SPARE, ACTION_CONFIRM, ACTION_ROLLBACK):
        from twoslot.boot import changes

        control = changes.BootChanges(Flash(), agent.attempts).open()
    else:
        control = BootControl(Flash(), agent.attempts).open()
    if action == ACTION_SNAPSHOT:
        agent.facts = control.snapshot()
        if control.waiting:
            agent.state = STATE_DONE  # an update is verified already
    elif action == ACTION_INVALIDATE_SPARE:
        spare = control.invalidate_spare()
        agent.place = control.slots.images[spare], control.slots.tables[spare]
    elif action == ACTION_ACTIVATE_SPARE:
        control.activate_spare(agent.plan, agent.product)
        agent.state = STATE_DONE
    elif action == ACTION_END_TRIAL:
        return _end_trial(control)
    elif action == ACTION_CONFIRM:
        done = control.confirm()
        _end_trial(control)
        return done
    elif action == ACTION_ROLLBACK:
        control.rollback()
        return control.slot
    elif action == ACTION_STATUS:
        from twoslot.boot import decision, status

        return status.status(control)


def commit(agent):
    """Write down a new head, or new keys.

    In a trial the head, fetched whole and signed, is the proof that this board can update itself again.
    """
    control = BootControl(Flash(), agent.attempts).open()
    if not control.confirmed:
        from twoslot.boot import changes

        control = changes.BootChanges(Flash(), agent.attempts).open()
    head, agent.news = agent.news, None
    if head is True:
        # A signed head of the past, from a cache: the proof, and nothing to remember.
        head = None
        if agent.auto and not control.confirmed:
            control.confirm()
    if agent.keys:
        from twoslot.trust import rotation

        rotation.commit(agent, control, head)
    elif head is None:
        pass
    elif control.confirmed:
        control.remember_head(head)
    elif agent.auto:
        control.confirm(head)


def _end_trial(control):
    # After an attempt that ended without a restart: stop the clocks of the trial if it is over.
    # True when it is.
    if control.confirmed:
        if twoslot._schedule:
            twoslot._schedule.trial = False
        if twoslot.deadline:
            deadline = twoslot.deadline
            twoslot.deadline = False
            deadline[0].deinit()
            if len(deadline) > 2 and deadline[2]:  # a timer that outlives a soft reset
                timer = deadline[0]
                timer.init(period=3600000, mode=timer.ONE_SHOT, callback=twoslot.watch_program)
        return True
    return False
