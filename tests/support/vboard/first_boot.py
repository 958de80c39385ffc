"""A VM that has the port's modules imported."""

from __future__ import annotations

from slotbench.vboard.network.base import Network, NoNetwork
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM


def start(soc: Soc, network: Network | None = None, files: dict[str, bytes] | None = None) -> CPythonVM:
    vm = CPythonVM(soc, {} if files is None else files, network or NoNetwork())
    vm.exec("import esp, machine, network, time, socket, select, gc, os, sys")
    vm.exec("import json, hashlib, binascii, random")
    return vm
