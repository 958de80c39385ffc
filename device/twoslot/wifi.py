# The networks in twoslot.wifi: another one is taken when the server is out of reach through this one.
# Loaded for that, and by a program that changes the network.
import json
import network
import os

_FILE = "/twoslot.wifi"
_PART = "/twoslot.wifi.part"


def networks():
    """Return [[ssid, password], ...], the one to begin with first; none without the file."""
    try:
        with open(_FILE) as f:
            return json.load(f)
    except (OSError, ValueError):
        return []


def take_next():
    """Join the network after the one that the SDK knows. It remembers that one then."""
    known = networks()
    if len(known) > 1:
        station = network.WLAN(network.STA_IF)
        names = [pair[0] for pair in known]
        now = station.config("essid")
        _join(station, known[(names.index(now) + 1) % len(known) if now in names else 0])


def change(ssid, password):
    """Join another network, and keep the ones known so far behind it. True if it was not the first already.

    A program may call it at each start. OSError: no network is known that could be gone back to.
    """
    known = networks()
    if not known:
        raise OSError("no twoslot.wifi")
    if known[0] == [ssid, password]:
        return False
    known = [[ssid, password]] + [pair for pair in known if pair[0] != ssid][:2]
    with open(_PART, "w") as f:
        json.dump(known, f)
    os.rename(_PART, _FILE)
    _join(network.WLAN(network.STA_IF), known[0])
    return True


def _join(station, pair):
    station.active(True)
    station.connect(*pair)
