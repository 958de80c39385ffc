"""Gate `types`: names and arguments that the ESP8266 port does not have are found."""

from __future__ import annotations

import pytest
from checks import device_types


def test_what_the_port_has(tree):
    tree.write("device/twoslot/flash.py", "import esp\nimport machine\n\nesp.flash_erase(1)\nmachine.reset()\n")
    assert tree.run(device_types.run) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("esp.flash_raed(0, buf)", "flash_raed"),
        ("machine.Timer(-1).init(perod=5)", "init"),
        ("socket.socket().redinto(buf)", "redinto"),
        ("time.sleep_ms()", "sleep_ms"),
    ],
)
def test_what_it_does_not_have(tree, line, said):
    tree.write("device/twoslot/flash.py", f"import esp\nimport machine\nimport socket\nimport time\n\nbuf = bytearray(4)\n{line}\n")
    found = tree.run(device_types.run)
    assert len(found) == 1 and "device/twoslot/flash.py:7" in found[0] and said in found[0]
