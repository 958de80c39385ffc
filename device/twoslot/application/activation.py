# The application that is whole in the spare folder goes on trial. A stage of an update.
from twoslot.application import record, decision, port, trial
from twoslot.constants import STATE_DONE


def step(agent):
    """Have it start at the next start, alone."""
    trial.activate(agent, 0, agent.plan["pack"])
    agent.state, agent.stage = STATE_DONE, None
