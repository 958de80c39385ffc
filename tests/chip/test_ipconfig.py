"""`ipconfig` of the bench's `network`, as MicroPython 1.24 and later have it (asked of the firmware's own)."""

from __future__ import annotations

from pathlib import Path

from slotbench import boards
from slotbench.prove.programs.on_chip import ChipPrograms
from slotbench.prove.programs.program import Program
from support.chip.bench import need_slirp, recent_micropython

SOURCE = """\
import network
wlan = network.WLAN(network.STA_IF)
print(wlan.ipconfig('addr4')[1], wlan.ipconfig('dhcp4'), network.ipconfig('dns'))
wlan.ipconfig(addr4='192.168.1.7/24', gw4='192.168.1.1')
print(wlan.ipconfig('addr4'), wlan.ipconfig('gw4'), wlan.ifconfig()[:3], wlan.ipconfig('dhcp4'))
wlan.ipconfig(addr4=('192.168.1.8', '255.255.0.0'))
network.ipconfig(dns='9.9.9.9')
print(wlan.ipconfig('addr4'), network.ipconfig('dns'))
wlan.ipconfig(dhcp4=True)
print(wlan.ipconfig('dhcp4'), wlan.ifconfig()[0])
for wrong in (lambda: wlan.ipconfig('dns'), lambda: wlan.ipconfig(no=1), lambda: network.ipconfig('addr4')):
    try:
        wrong()
    except ValueError as e:
        print(e)
"""
PRINTS = """\
255.255.255.0 True 192.168.4.3
('192.168.1.7', '255.255.255.0') 192.168.1.1 ('192.168.1.7', '255.255.255.0', '192.168.1.1') False
('192.168.1.8', '255.255.0.0') 9.9.9.9
True 192.168.4.1
unexpected key
unexpected key
unexpected key
"""


def test_get_and_set(core: Path) -> None:
    need_slirp()
    chip = ChipPrograms(boards.load("d1_mini"), recent_micropython()[0], server=1)
    try:
        assert chip.what_is_wrong(Program(name="ip", kind="", does="", source=SOURCE, prints=PRINTS)) == ""
    finally:
        chip.close()
