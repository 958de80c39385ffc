"""A transport without a cable: scripts of slotbench run on a board's VM at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slotbench.vboard.vm import CPythonVM


class OnBoard:
    """The board whose VM this is."""

    def __init__(self, vm: CPythonVM) -> None:
        self._vm = vm

    def run_script(self, script: str) -> str:
        before = len(self._vm.output)
        self._vm.exec(script)
        return self._vm.output[before:]

    def put_files(
        self, folder: str, files: Mapping[str, bytes],
        progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> None:
        raise NotImplementedError
