"""A CPython VM for proofs that start thousands of boards with the same documents."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any, Final

from slotbench import data_path
from slotbench.vboard.vm import CPythonVM

__all__ = ["RememberingVM"]

_OWN: Final = str(data_path("device") / "twoslot" / "trust" / "rsa.py")
_known: dict[tuple[int, int, bytes], bool] = {}


class RememberingVM(CPythonVM):
    """Verifies each signature once.

    `twoslot.trust.rsa.verify` depends on modulus, signature and digest alone, has no side effects,
    and takes no virtual time. Results of the package's own rsa.py are therefore remembered. Another
    rsa.py on the board is called each time.
    """

    def _load_file(self, name: str, parent: ModuleType | None) -> ModuleType:
        module = super()._load_file(name, parent)
        if name == "twoslot.trust.rsa":
            names: dict[str, Any] = vars(module)
            if names["verify"].__code__.co_filename == _OWN:
                names["verify"] = partial(_verify, names["verify"])
        return module


def _verify(verify: Any, n: int, s: int, digest: bytes) -> bool:
    known = _known.get((n, s, digest))
    if known is None:
        known = _known[n, s, digest] = verify(n, s, digest)
    return known
