"""libslirp by ctypes: a TCP/IP in this process whose one guest speaks Ethernet frames.

Only what a wire to one board needs. Everything happens in the thread that calls; time is given by the caller.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import ipaddress
import selectors
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from slotbench.errors import USAGE, BenchError

__all__ = ["GUEST", "HOST", "NAME_SERVER", "Slirp", "missing"]

HOST: Final = ipaddress.IPv4Address("192.168.4.2")
"""This machine as the guest sees it: connections there reach 127.0.0.1."""
GUEST: Final = ipaddress.IPv4Address("192.168.4.1")
NAME_SERVER: Final = ipaddress.IPv4Address("192.168.4.3")

_NETWORK: Final = ipaddress.IPv4Network("192.168.4.0/24")
_CONFIG_VERSION: Final = 4
_INSTALL: Final = "install it (Debian: apt install libslirp0; Fedora: dnf install libslirp)"
_POLL_IN, _POLL_OUT = 1, 2

_SEND = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_SAY = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
_NOW = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_TIMER_NEW = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_TIMER_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_TIMER_MOD = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
_FD = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)
_PLAIN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_COMPLETED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_TIMER_NEW_ID = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_ADD_POLL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_GET_EVENTS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class _Callbacks(ctypes.Structure):
    """`SlirpCb` of libslirp 4.7."""

    _fields_ = [
        ("send_packet", _SEND), ("guest_error", _SAY), ("clock_get_ns", _NOW), ("timer_new", _TIMER_NEW),
        ("timer_free", _TIMER_FREE), ("timer_mod", _TIMER_MOD), ("register_poll_fd", _FD),
        ("unregister_poll_fd", _FD), ("notify", _PLAIN), ("init_completed", _COMPLETED),
        ("timer_new_opaque", _TIMER_NEW_ID),
    ]


class _Config(ctypes.Structure):
    """`SlirpConfig` of version 4. Addresses are 4 or 16 bytes in network order."""

    _fields_ = [
        ("version", ctypes.c_uint32), ("restricted", ctypes.c_int), ("in_enabled", ctypes.c_bool),
        ("vnetwork", ctypes.c_uint32), ("vnetmask", ctypes.c_uint32), ("vhost", ctypes.c_uint32),
        ("in6_enabled", ctypes.c_bool), ("vprefix_addr6", ctypes.c_uint8 * 16),
        ("vprefix_len", ctypes.c_uint8), ("vhost6", ctypes.c_uint8 * 16), ("vhostname", ctypes.c_char_p),
        ("tftp_server_name", ctypes.c_char_p), ("tftp_path", ctypes.c_char_p), ("bootfile", ctypes.c_char_p),
        ("vdhcp_start", ctypes.c_uint32), ("vnameserver", ctypes.c_uint32),
        ("vnameserver6", ctypes.c_uint8 * 16), ("vdnssearch", ctypes.c_void_p),
        ("vdomainname", ctypes.c_char_p), ("if_mtu", ctypes.c_size_t), ("if_mru", ctypes.c_size_t),
        ("disable_host_loopback", ctypes.c_bool), ("enable_emu", ctypes.c_bool),
        ("outbound_addr", ctypes.c_void_p), ("outbound_addr6", ctypes.c_void_p),
        ("disable_dns", ctypes.c_bool), ("disable_dhcp", ctypes.c_bool),
    ]


def missing() -> str:
    """Why there is no libslirp here, with what to do about it; empty when there is one."""
    try:
        _library()
    except BenchError as error:
        return str(error)
    return ""


class Slirp:
    """The host's end of a wire. `on_frame` gets each frame for the guest, `now_us` tells the time.

    Call `serve` often: it moves bytes between the guest and the sockets of this machine and never waits.
    Raises BenchError (exit code 2) when there is no libslirp.
    """

    def __init__(self, on_frame: Callable[[bytes], object], now_us: Callable[[], int]) -> None:
        self._library = _library()
        self._on_frame = on_frame
        self._now_us = now_us
        self._polls: list[tuple[int, int]] = []
        self._seen: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._kept = self._callbacks()
        self._add = _ADD_POLL(self._add_poll)
        self._get = _GET_EVENTS(self._get_events)
        self._handle: int | None = self._library.slirp_new(
            ctypes.byref(_config()), ctypes.byref(self._kept), None)
        if not self._handle:
            raise BenchError("libslirp does not start", cure=_INSTALL, exit_code=USAGE)

    def close(self) -> None:
        """Close all its sockets."""
        if self._handle:
            self._library.slirp_cleanup(self._handle)
            self._handle = None
            self._selector.close()

    def send(self, frame: bytes) -> None:
        """The guest sends a frame."""
        self._library.slirp_input(self._handle, frame, len(frame))

    def forward(self, host_port: int, guest_port: int) -> None:
        """Let 127.0.0.1:`host_port` reach a TCP port of the guest. Raises BenchError (exit code 2)."""
        local = _address(ipaddress.IPv4Address("127.0.0.1"))
        failed = self._library.slirp_add_hostfwd(
            self._handle, 0, local, host_port, _address(GUEST), guest_port)
        if failed:
            raise BenchError(
                "cannot listen for the board", where=f"127.0.0.1:{host_port}", cure="choose another port",
                exit_code=USAGE)

    def unforward(self, host_port: int) -> None:
        """Take a `forward` back."""
        local = _address(ipaddress.IPv4Address("127.0.0.1"))
        self._library.slirp_remove_hostfwd(self._handle, 0, local, host_port)

    def serve(self, wait_s: float = 0.0) -> bool:
        """Do what is due; wait up to `wait_s` real seconds for a socket first. True: a socket had something.
        """
        self.watch()
        ready = self._selector.select(wait_s) if self._selector.get_map() else []
        self._seen = {key.fd: events for key, events in ready}
        self._library.slirp_pollfds_poll(self._handle, 0, self._get, None)
        return bool(ready)

    def watch(self) -> None:
        """Make `fileno` tell of what the sockets wait for now."""
        self._polls.clear()
        timeout = ctypes.c_uint32(0)
        self._library.slirp_pollfds_fill(self._handle, ctypes.byref(timeout), self._add, None)
        wanted = {fd: events for fd, events in self._polls if events}
        watched = {key.fd: key.events for key in self._selector.get_map().values()}
        for fd in watched.keys() - wanted.keys():
            self._selector.unregister(fd)
        for fd, events in wanted.items():
            if fd not in watched:
                self._selector.register(fd, events)
            elif watched[fd] != events:
                self._selector.modify(fd, events)

    def fileno(self) -> int:
        """For `select`, after `watch`: readable when `serve` has work."""
        return self._selector.fileno()

    def _add_poll(self, fd: int, events: int, opaque: object) -> int:
        wanted = selectors.EVENT_READ if events & _POLL_IN else 0
        wanted |= selectors.EVENT_WRITE if events & _POLL_OUT else 0
        self._polls.append((fd, wanted))
        return len(self._polls) - 1

    def _get_events(self, index: int, opaque: object) -> int:
        found = self._seen.get(self._polls[index][0], 0)
        return (_POLL_IN if found & selectors.EVENT_READ else 0) | (
            _POLL_OUT if found & selectors.EVENT_WRITE else 0)

    def _forget(self, fd: int, opaque: object) -> None:
        """A socket is closed: another may get its number."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def _callbacks(self) -> _Callbacks:
        def send(data: int, length: int, opaque: object) -> int:
            self._on_frame(ctypes.string_at(data, length))
            return length

        # Timers serve IPv6 alone, which is off here.
        return _Callbacks(
            _SEND(send), _SAY(lambda words, opaque: None), _NOW(lambda opaque: self._now_us() * 1000),
            _TIMER_NEW(lambda callback, of_callback, opaque: None),
            _TIMER_FREE(lambda timer, opaque: None), _TIMER_MOD(lambda timer, expires, opaque: None),
            _FD(lambda fd, opaque: None), _FD(self._forget), _PLAIN(lambda opaque: None),
            _COMPLETED(lambda slirp, opaque: None), _TIMER_NEW_ID(lambda which, of_callback, opaque: None))


def _config() -> _Config:
    return _Config(
        version=_CONFIG_VERSION, in_enabled=True, vnetwork=_address(_NETWORK.network_address),
        vnetmask=_address(_NETWORK.netmask), vhost=_address(HOST), vdhcp_start=_address(NAME_SERVER + 10),
        vnameserver=_address(NAME_SERVER), disable_dns=True, disable_dhcp=True)


def _address(address: ipaddress.IPv4Address) -> int:
    """As the `struct in_addr` of this machine holds it: its bytes are in network order."""
    (number,) = struct.unpack("=I", address.packed)
    return int(number)


@functools.cache
def _library() -> Any:
    name = ctypes.util.find_library("slirp") or "libslirp.so.0"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        raise BenchError(
            "libslirp is not there, which the network of an emulated board needs", cure=_INSTALL,
            exit_code=USAGE) from None
    library.slirp_new.restype = ctypes.c_void_p
    library.slirp_new.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.slirp_cleanup.argtypes = [ctypes.c_void_p]
    library.slirp_input.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    library.slirp_pollfds_fill.argtypes = [ctypes.c_void_p, ctypes.c_void_p, _ADD_POLL, ctypes.c_void_p]
    library.slirp_pollfds_poll.argtypes = [ctypes.c_void_p, ctypes.c_int, _GET_EVENTS, ctypes.c_void_p]
    library.slirp_add_hostfwd.argtypes = [
        ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32, ctypes.c_int]
    library.slirp_remove_hostfwd.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_int]
    return library
