"""The cached verdict on a signature is that of the modules."""

from __future__ import annotations

import random

import pytest

from slotbench.prove import vm as remembering
from slotbench.prove.vm import RememberingVM
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard


class Counted:
    """`twoslot.trust.rsa` of a board, and how often its arithmetic was done."""

    def __init__(self, vm: type[CPythonVM], tail: bytes = b"") -> None:
        board = DeviceBoard()
        board.files["/twoslot/trust/rsa.py"] += tail
        made = board.start()
        self.vm = vm(made.runtime.soc, board.files, made.runtime.network)
        self.verify = self.vm.import_("twoslot.trust.rsa").verify


def test_the_same_verdict_for_any_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "_known", {})
    plain, kept = Counted(CPythonVM), Counted(RememberingVM)
    rng = random.Random(7)
    print("seed 7")
    for _ in range(20):
        n = rng.getrandbits(3072) | 1 << 3071 | 1
        s, digest = rng.choice([rng.getrandbits(3072), n, n + 1, 0, 1]), rng.randbytes(32)
        answer = plain.verify(n, s, digest)
        assert kept.verify(n, s, digest) == kept.verify(n, s, digest) == answer
    assert len(remembering._known) == 20


def test_another_rsa_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "_known", {(5, 3, b"x"): True})
    assert Counted(RememberingVM).verify(5, 3, b"x"), "a known verdict is returned"
    assert not Counted(RememberingVM, b"\n# edited\n").verify(5, 3, b"x")
