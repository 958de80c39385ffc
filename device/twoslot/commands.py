# check() and update() at the REPL: what a person starts by hand, and what it prints. Loaded for one of them.
import machine
import time

import twoslot

from twoslot import codes
from twoslot.errors import LinkError, ReleaseError, TwoslotError


def run(verb, force):
    """Carry out one verb. A refusal is printed, and returned as False."""
    agent = None
    try:
        agent = twoslot.load_agent()
        agent.begin(force=force, download=verb == "update")
        if verb == "update":
            return _update(agent, force)
        return _check(agent)
    except (TwoslotError, MemoryError) as e:
        running = agent.running if agent else 0
        agent = None
        from twoslot import failures

        return failures.refuse(e, running)


def _check(agent):
    """Check the head and the release that it names, without a download."""
    try:
        while agent.step():
            pass
    except ReleaseError as e:
        if agent.offered and e.args[0] != codes.UP_TO_DATE:
            print("twoslot: counter %d is offered" % agent.offered)
        raise
    if agent.state:
        print("twoslot: %s is verified and waits for the restart" % agent.facts["waiting"])
        return True
    plan = agent.plan
    confirmed = _end_trial(agent)
    if not plan:
        return _no_offer(confirmed)
    offer = plan["version"], plan["counter"], plan["length"]
    print("twoslot: %s (counter %d, %d bytes) is offered" % offer)
    _check_quiet_hours()
    return True


def _update(agent, force):
    """Install what is offered, however often the connection is lost, and restart into its trial."""
    if not force:
        _check_quiet_hours()
    schedule = twoslot.get_schedule()
    shown = written = 0
    while True:  # ends with the attempt: ready, refused, or too many losses in a row
        try:
            more = agent.step()
        except LinkError as e:
            from twoslot import failures, outcome

            failures.refuse(e, agent.running)
            more = outcome.break_off(agent, e)
            outcome.failed(schedule, agent.retry_after)
            failures = outcome = None
            twoslot.drop("failures", "outcome", "retained")
            if not more:
                return False
            while not schedule.due():
                time.sleep_ms(500)
            continue
        if agent.written > written:
            written = agent.written
            schedule.continue_now(True)
        done, blocks = agent.blocks_in_place
        if blocks and done * 10 // blocks > shown:
            shown = done * 10 // blocks
            print("twoslot: %d of %d blocks in place" % (done, blocks))
        if not more:
            break
    if agent.state:
        version = agent.plan["version"] if agent.plan else agent.facts["waiting"]
        print("twoslot: %s verified, restarting into its trial" % version)
        _restart()
    return _no_offer(_end_trial(agent))


def _end_trial(agent):
    # True when the running release is confirmed.
    from twoslot import flash
    from twoslot.boot import page, journal, slots, control, trial

    return trial.end(control.BootControl(flash.Flash(), agent.attempts).open())


def _check_quiet_hours():
    # The restart of an update would fall into hours that the owner keeps free of them.
    schedule = twoslot.get_schedule()
    hours = schedule and schedule.quiet
    if hours:
        from twoslot import retained, quiet_hours

        left = quiet_hours.remaining_ms(hours)
        twoslot.drop("quiet_hours", "retained")
        if left:
            raise ReleaseError(codes.QUIET_HOURS, hours[1])


def _restart():
    # Restart, when the application's function agrees.
    from twoslot import restart

    ms = restart.wait_ms()
    while ms:
        print("twoslot: the application asks for %d s more" % (ms // 1000))
        time.sleep_ms(ms)
        ms = restart.wait_ms()
    machine.reset()


def _no_offer(confirmed):
    print("twoslot: the trial is over" if confirmed else "twoslot: on trial, waiting for confirm()")
    return False
