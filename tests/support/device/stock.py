"""A board with stock firmware and no loader: twoslot for it, an application from `slotbench deploy`, its server."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from slotbench import boards, data_path
from slotbench.application.bundle import Bundle
from slotbench.formats.application_record import FILES, ApplicationRecord, Folder, FolderState, newest_record
from slotbench.formats.file_list import FileEntry, pack_list
from slotbench.mpy import compile_mpy, compile_package, sources
from slotbench.mpy.pack import pack_package, packed_files
from slotbench.release.applications import build_application
from slotbench.release.publish import publish_offer
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.package import know
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, NOW, PRODUCT, DeviceBoard
from support.device.site import Site

TICKS: Final = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(900)\n"
_STOCK: Final = replace(boards.load("generic_4m_stock"), name=BOARD.name)
START_MS: Final = 300
"""From power to boot.py."""


@functools.cache
def package() -> Mapping[str, bytes]:
    """The files of twoslot for stock firmware, as sources."""
    return {f"/twoslot/{path}": source for path, source in sources(has_loader=False).items()}


def pack_with(path: str, text: str) -> bytes:
    """The pack of twoslot with another module at `path` ("agent.py")."""
    compiled = compile_mpy("other", text.encode(), 3)
    know(compiled, text.encode())
    modules = {**compile_package(sources(has_loader=False)), path: compiled}
    return pack_package({f"/{name.removesuffix('.py')}.mpy": content for name, content in modules.items()})


def program(counter: int, text: str = TICKS) -> dict[str, bytes]:
    """A program that says its counter, and a module of it."""
    return {"main.py": f"print('program {counter}')\n{text}".encode(), "lamp.py": b"shade = 1\n" * 30}


@functools.lru_cache(maxsize=16)
def _newest(records: tuple[bytes, ...]) -> ApplicationRecord | None:
    """Cached: it is asked for at every wait of a program, and changes seldom."""
    return newest_record(records)


class StockBoard:
    """Application 1 is confirmed in /app_a; `printed` is what its programs printed, `resets` the reasons.

    With `packed` twoslot is one file, as `slotbench deploy` leaves it; else its sources.
    """

    def __init__(self, site: Site, *, packed: bool = False, **settings: Any) -> None:
        self.site = site
        self.board = DeviceBoard(WsgiNetwork(site.app()), **settings)
        self.files, self.soc = self.board.files, self.board.soc
        for path in [path for path in self.files if path.startswith("/twoslot/")]:
            del self.files[path]
        if packed:
            self.files.update({f"/{path}": content for path, content in packed_files().items()})
        else:
            self.files.update(package())
        self.files["/twoslot_record.py"] = data_path("device", "twoslot_record.py").read_bytes()
        self.files.update({f"/app_a/{path}": data for path, data in program(1).items()})
        listed = pack_list(
            FileEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in program(1).items())
        self.files.update({"/app_a/twoslot.list": listed, "/app_a/twoslot.version": b"1.0"})
        self.files[f"/{FILES[0]}"] = ApplicationRecord(sequence=2, active=0, folders=(
            Folder(state=FolderState.CONFIRMED, counter=1, list_digest=hashlib.sha256(listed).digest()[:7]),
            Folder())).pack()
        self.files["/data/kept"] = b"of the user"
        self.printed: list[str] = []
        self.resets: list[int] = []
        self.vm: CPythonVM | None = None

    def offer(self, counter: int, files: Mapping[str, bytes] | None = None, **fields: Any) -> None:
        """Publish an application."""
        site = self.site
        bundle = Bundle(program(counter) if files is None else dict(files), 0)
        made = replace(build_application(
            bundle, product=PRODUCT, boards=[_STOCK], version=f"{counter}.0", counter=counter, created=NOW), **fields)
        path = Path(site.root).parent / f"app-{counter}.application"
        path.write_bytes(site.publisher.offline.sign(made.to_payload()).pack())
        site.issued += 60
        publish_offer(
            site.publisher.site, site.publisher.keys_path, site.publisher.online, site.issued,
            application=(path, bundle))

    def record(self) -> ApplicationRecord:
        """The newest record, by the bench's codec."""
        found = _newest(tuple(self.files.get(f"/{name}", b"") for name in FILES))
        assert found is not None
        return found

    def start(self, reason: int = 0) -> CPythonVM:
        """The chip starts without a loader: after a loss of power its RTC memory is noise."""
        if reason == 0:
            self.soc.power_on()
        else:
            self.soc.start(reason)
        self.soc.start_sdk()
        return self.boot()

    def boot(self) -> CPythonVM:
        """MicroPython starts: after the chip, or after a soft reset."""
        if self.vm is not None:
            self.vm.close()
        self.vm = CPythonVM(self.soc, self.files, self.board.network, console=self.printed.append)
        self.soc.clock.advance_ms(START_MS)
        return self.vm

    def life(self, hours: float, reason: int = 0, until: Callable[[], bool] = lambda: False) -> bool:
        """Let boot.py and main.py run for so long, through all restarts. Whether `until` came true."""
        end = self.soc.clock.ms + hours * 3_600_000
        vm = self.start(reason)
        while True:
            def look(vm: CPythonVM = vm) -> None:
                if until():
                    vm.interrupt_at(self.soc.clock.ms)

            try:
                vm.run_file("/boot.py")
                vm.interrupt_at(end)
                vm.runtime.on_wait = look
                try:
                    vm.run_file(vm.folder() + "/main.py")
                except Exception as error:
                    vm.print_exception(error)
                vm.runtime.greet()
                vm.runtime.wait_us(None)
            except KeyboardInterrupt:
                return until()
            except ChipReset as reset:
                self.resets.append(reset.reason)
                vm = self.start(reset.reason)

    def close(self) -> None:
        if self.vm is not None:
            self.vm.close()
        self.board.close()
