# Verifies the signature of a pushed release, with as little else in memory as possible.
import twoslot


def handle(listener, sock):
    """Leave the verified document in the listener."""
    agent = twoslot.load_agent()
    agent.begin()
    while agent.facts is None:
        agent.step()
    from twoslot.trust import keyring

    epoch, moduli = keyring.trusted_keys("offline", agent.product, agent.facts)[:2]
    keyring = agent = None
    twoslot.drop("trust")
    moduli.extend(listener.development_keys)
    listener.development_keys = len(listener.development_keys) > 0
    from twoslot.trust import rsa, document

    try:
        text, listener.text = listener.text, None
        listener.document = document.read_signed(text, "release", (epoch, moduli))
    finally:
        text = moduli = document = None
        twoslot.drop("trust")
