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
        self.rsa = self.vm.import_("twoslot.trust.rsa")

    def verify(self, n: int, s: int, digest: bytes) -> bool:
        """Whether s is the signature over this digest by the key (n, 65537)."""
        sums = self.rsa.begin(n, s)
        while sums and not self.rsa.step(sums, 0):
            pass
        return bool(sums and self.rsa.is_signature(sums, digest))


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
    assert 5 < len(remembering._known) <= 20, "numbers below the modulus only"


def test_another_rsa_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    info = bytes.fromhex("3031300d060960864801650304020105000420")
    digest = bytes(32)
    block = b"\x00\x01" + b"\xff" * (381 - len(info) - 32) + b"\x00" + info + digest
    monkeypatch.setattr(remembering, "_known", {(5, 3): int.from_bytes(block, "big")})
    assert Counted(RememberingVM).verify(5, 3, digest), "a known verdict is returned"
    assert not Counted(RememberingVM, b"\n# edited\n").verify(5, 3, digest)
