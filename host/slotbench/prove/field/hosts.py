"""A network with several machines, each with its own name and its own behaviour."""

from __future__ import annotations

from collections.abc import Mapping

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.base import NAME_UNKNOWN, Datagrams, Network, TcpStream
from slotbench.vboard.signals import DeviceOSError

__all__ = ["HostsNetwork"]


class HostsNetwork(Network):
    """What each of `hosts` carries, by the name of its machine."""

    def __init__(self, hosts: Mapping[str, Network]) -> None:
        super().__init__()
        self._hosts = dict(hosts)
        self._addresses = {name: f"10.0.1.{number}" for number, name in enumerate(hosts, 1)}

    def use_clock(self, clock: Clock) -> None:
        """Take the time from `clock`, and have all machines do the same."""
        super().use_clock(clock)
        for network in self._hosts.values():
            network.use_clock(clock)

    def _resolve(self, host: str) -> str:
        if host not in self._hosts:
            raise DeviceOSError(NAME_UNKNOWN)
        self._hosts[host].resolve(host)
        return self._addresses[host]

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        name = next(name for name, address in self._addresses.items() if address == host)
        return self._hosts[name].connect(host, port, timeout_ms)

    def datagrams(self, host: str, port: int) -> Datagrams:
        """Those of the machine that has this address."""
        name = next(name for name, address in self._addresses.items() if address == host)
        return self._hosts[name].datagrams(host, port)

    def _log_requests(self, stream: TcpStream) -> TcpStream:
        return stream  # each machine's network does so itself
