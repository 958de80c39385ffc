"""A CPython VM for proofs that start thousands of boards with the same documents."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any, Final

from slotbench import data_path
from slotbench.vboard.vm import CPythonVM

__all__ = ["RememberingVM"]

_OWN: Final = str(data_path("device") / "twoslot" / "trust" / "rsa.py")
_known: dict[tuple[int, int], int] = {}


class RememberingVM(CPythonVM):
    """Computes each signature once.

    What `twoslot.trust.rsa.step` comes to depends on modulus and signature alone, has no side effects,
    and takes no virtual time. Results of the package's own rsa.py are therefore remembered. Another
    rsa.py on the board is called each time.
    """

    def _load_file(self, name: str, parent: ModuleType | None) -> ModuleType:
        module = super()._load_file(name, parent)
        if name == "twoslot.trust.rsa":
            names: dict[str, Any] = vars(module)
            if names["step"].__code__.co_filename == _OWN:
                names["step"] = partial(_step, names["step"])
        return module


def _step(step: Any, sums: list[int], ms: int) -> bool:
    key = sums[0], sums[1]
    if key not in _known:
        while not step(sums, ms):
            pass
        _known[key] = sums[2]
    sums[2] = _known[key]
    return True
