"""Gate `lint`: each rule finds its defect, and what the board can do passes."""

from __future__ import annotations

import pytest
from checks import subset

AGENT = "device/twoslot/agent.py"

DEFECTS = [
    ("import typing", "cannot import typing"),
    ("import ubinascii", "cannot import ubinascii"),
    ("from dataclasses import dataclass", "cannot import dataclasses"),
    ("import hmac", "cannot import hmac"),
    ("from __future__ import annotations", "cannot import __future__"),
    ("import socket", "leave that to http/connection.py, mqtt/client.py, ntp.py, push/opening.py"),
    ("def f():\n    import esp", "leave that to flash.py"),
    ("from network import WLAN", "leave that to http/connection.py, http/report.py, mqtt/client.py, ntp.py"),
    ("from twoslot.nothing import x", "there is no twoslot.nothing"),
    ("from . import nowhere\nfrom .nothing import x", "there is no twoslot.nothing"),
    ("from struct import *", "star import"),
    ("import binascii\nx = binascii.crc32(b'')", "binascii.crc32 is not on the board"),
    ("from hashlib import md5", "hashlib.md5 is not on the board"),
    ("import random as r\nx = r.randint(1, 2)", "random.randint is not on the board"),
    ("x = 'a:b'.partition(':')", ".partition: switched off"),
    ("x = 'a'.zfill(3)", ".zfill: MicroPython has none"),
    ("x = (5).bit_length()", ".bit_length"),
    ("x = memoryview(b'').cast('I')", ".cast"),
    ("x = sha.hexdigest()", ".hexdigest"),
    ("x = self.sha.copy()", "a hash cannot be copied"),
    ("x = slice(1, 2).indices(5)", ".indices"),
    ("x = pow(2, 3, 5)", "three-argument pow()"),
    ("x = pow(2, 3, mod=5)", "three-argument pow()"),
    ("x = compile('1', '', 'eval')", "compile is not on the board"),
    ("x = complex(1, 2)", "complex is not on the board"),
    ("x = __file__", "__file__ is not on the board"),
    ("try:\n    pass\nexcept TimeoutError:\n    pass", "TimeoutError is not on the board"),
    ("try:\n    pass\nexcept:\n    pass", "catches everything"),
    ("try:\n    pass\nexcept (ValueError, BaseException):\n    pass", "catches everything"),
    ("def f(e):\n    raise ValueError from e", "raise ... from"),
    ("x = b'abc'[::-1]", "slice with a step"),
    ("x = (5).to_bytes(4, byteorder='big')", ".to_bytes() takes no keywords"),
    ("x = sum([], start=1)", "sum() takes no start="),
    ("import json\nx = json.dumps({}, indent=1)", "json.dumps takes separators="),
    ("class A(metaclass=type):\n    pass", "class with metaclass="),
    ("class A:\n    def __setattr__(self, n, v):\n        pass", "__setattr__ is never called"),
    ("print('x')", "prints"),
    ("def f(:", "is not Python"),
]


@pytest.mark.parametrize(("source", "expected"), DEFECTS, ids=[expected for _, expected in DEFECTS])
def test_defect_is_found_at_its_line(tree, source, expected):
    tree.write("device/twoslot/__init__.py", "")
    tree.write(AGENT, f"a = 1\n{source}\n")

    found = tree.run(subset.run)

    assert len(found) == 1, found
    assert expected in found[0]
    assert found[0].startswith((f"{AGENT}:2:", f"{AGENT}:3:", f"{AGENT}:4:"))


CLEAN = '''# Owns nothing.
import gc
import sys

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

from twoslot import agent
from twoslot.boot.journal import Cell
from . import journal as j

_N: int = const(3)


class Title:
    def __init__(self, n: int, *, names: list[str] | None = None) -> None:
        self.n = n

    def title(self):
        return f"{self.n:x}"

    async def wait(self):
        import asyncio

        await asyncio.sleep_ms(1)


def run(pow, items, format, **more):
    global _state
    if (n := len(items)) > _N:
        raise ValueError(n)
    try:
        x = pow(1, 2, 3)
        y = Title(n).title() + sorted(items, key=len)[0].split(",", 1)[0]
        z = sha256(b"").digest()[:8], x.to_bytes(4, "big"), items.copy(), items[1:2]
        return more, format, y, z, min(items, default=0), 2 ** 3, divmod(n, 2)
    except (OSError, MemoryError) as e:
        sys.modules.pop("twoslot.boot.journal", None)
        gc.collect()
        return e.args
'''


def test_what_the_board_can_do_passes(tree):
    tree.write("device/twoslot/__init__.py", "")
    tree.write("device/twoslot/commands.py", "print(1)\n")
    tree.write("device/twoslot/boot/journal.py", "class Cell:\n    pass\n")
    tree.write("device/twoslot/flash.py", "import esp\nimport machine\nimport time\nx = time.ticks_ms()\n")
    tree.write("device/twoslot_boot.py", "import machine\nprint(machine.reset_cause())\nimport twoslot\n")
    tree.write(AGENT, CLEAN)

    assert tree.run(subset.run) == []


def test_boot_hook_needs_the_chip_only(tree):
    tree.write("device/twoslot/__init__.py", "")
    tree.write("device/twoslot_boot.py", "import network\nimport struct\nimport esp\nimport twoslot\n")

    found = tree.run(subset.run)

    assert [line.split(";")[0] for line in found] == [
        "device/twoslot_boot.py:1: the boot hook imports network",
        "device/twoslot_boot.py:2: the boot hook imports struct",
    ]


def test_port_may_not_use_what_the_chip_has_not(tree):
    tree.write("device/twoslot/flash.py", "import time\nx = time.monotonic()\n")

    assert "time.monotonic is not on the board" in tree.run(subset.run)[0]
