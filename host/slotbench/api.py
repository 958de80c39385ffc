"""What a program imports from slotbench: identify a firmware; build, sign and publish its release.

    import slotbench
    project = slotbench.open_project()
    shipment = project.build("firmware.bin", version="2.1")
    project.sign(shipment)
    head = project.publish(shipment)

Every refusal is a `BenchError` with `what`, `where` and `cure`. What is not named here may change at any
time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slotbench import boards
from slotbench.application.bundle import build_bundle
from slotbench.errors import BenchError
from slotbench.formats.head import Head
from slotbench.formats.release import Preflight, Release
from slotbench.images import IdentifiedImage
from slotbench.images import identify as identify_bytes
from slotbench.images import require_usable
from slotbench.mpy import ABI
from slotbench.project import Project, load_project, require_project
from slotbench.project import PROJECT_FILE
from slotbench.prove.chip.no_preflight import reason_for_none
from slotbench.release import application_shipping, documents, shipping
from slotbench.release.application_shipping import ApplicationShipment
from slotbench.release.files import read_bytes
from slotbench.release.keys import SigningKey
from slotbench.release.patches import PATCHES_USUAL
from slotbench.release.shipping import ReleasePaths, Shipment, Stage
from slotbench.release.store import Store

__all__ = [
    "ApplicationShipment", "BenchError", "Head", "IdentifiedImage", "OpenProject", "Preflight", "Release",
    "Shipment", "Stage",
    "identify", "open_project",
]

_IMAGE_BYTES_MAX = 16 * 1024 * 1024


def identify(firmware: Path | str | bytes) -> IdentifiedImage:
    """What a file is: `title` in words, `problem` if no board runs it, `micropython`, `fs_start` and more.

    `firmware` is a path, or the bytes themselves. Raises BenchError if the file cannot be read.
    """
    return identify_bytes(firmware if isinstance(firmware, bytes) else _read(firmware))


def open_project(folder: Path | str | None = None) -> OpenProject:
    """The project whose slotbench.toml is in `folder`; None: in the current folder, or above it.

    Raises BenchError: there is none, or it has a mistake.
    """
    if folder is None:
        return OpenProject(require_project())
    return OpenProject(load_project(Path(folder) / PROJECT_FILE))


class OpenProject:
    """The releases of a project; `project` is its slotbench.toml.

    Each method goes on where an interrupted one ended, and each raises BenchError.
    """

    def __init__(self, project: Project) -> None:
        self.project = project

    def build(
        self, *firmware: Path | str, version: str | None = None, notes: str = "", counter: int | None = None,
        percent: int | None = None, cohorts: Sequence[str] = (), is_tried: bool = False,
    ) -> Shipment:
        """Build the release of a firmware .bin (in-place boards: one for each slot), and write it unsigned.

        Without `counter` it is one more than the last. `percent` of the boards and all of `cohorts` will be
        offered it. With `is_tried` it is started on the emulated chip first; `release.preflight` says how
        that went, or why it was left out.
        """
        images = [_read(path) for path in firmware]
        for image in images:
            require_usable(identify_bytes(image))
        profiles = [boards.load(self.project.board)]
        with shipping.only_one(self._paths):
            planned = shipping.plan_shipment(
                images, self._paths, product=self.project.product, boards=profiles,
                channel=self.project.channel, now=int(time.time()), version=version, counter=counter,
                notes=notes, percent=percent, cohorts=tuple(cohorts), patches=self._patches)
            if planned.stage is not Stage.NEW:
                return planned
            result = reason_for_none(profiles[0], images[0]) if is_tried else Preflight.SKIPPED
            if result is None:
                from slotbench.prove.chip.preflight import preflight

                result = preflight(images[0], profiles[0], fs_version=planned.release.fs_version).result
            shipping.write_release(planned, result)
        return replace(planned, release=replace(planned.release, preflight=result), stage=Stage.BUILT)

    def build_application(
        self, folder: Path | str, *, firmware: Shipment | None = None, version: str | None = None,
        notes: str = "", counter: int | None = None, percent: int | None = None, cohorts: Sequence[str] = (),
        as_source: bool = False, data: int = 0,
    ) -> ApplicationShipment:
        """Build the application of the program in `folder`, and write it unsigned.

        `firmware` is the release that comes with it; without one it is compiled for the firmware that the
        channel offers. `data` is the layout of its files in /data. The rest is as for `build`.
        """
        paths = self._paths
        image = firmware.images[0] if firmware is not None else None
        if image is None:
            keys = documents.read_keys(paths.keys_path)[1]
            offered = application_shipping.channel_firmware(paths.site, keys, self.project.channel)
            image = offered[1] if offered is not None else None
        found = identify_bytes(image) if image is not None else None
        bundle = build_bundle(
            Path(folder), as_source=as_source, micropython=found.micropython if found is not None else None,
            mpy_abi=found.mpy_abi if found is not None and found.mpy_abi else ABI)
        with shipping.only_one(paths):
            planned = application_shipping.plan_application(
                bundle, paths, product=self.project.product, boards=[boards.load(self.project.board)],
                channel=self.project.channel, now=int(time.time()), version=version, counter=counter,
                notes=notes, percent=percent, cohorts=tuple(cohorts), data=data, patches=self._patches,
                firmware=firmware.release if firmware is not None else None)
            if planned.stage is not Stage.NEW:
                return planned
            application_shipping.write_application(planned, Preflight.SKIPPED)
        return replace(planned, stage=Stage.BUILT)

    def sign(self, shipment: Shipment | ApplicationShipment, passphrase: str | None = None) -> None:
        """Sign the release or application with the project's offline key, unless it is signed."""
        if shipment.stage not in (Stage.NEW, Stage.BUILT):
            return
        key = self._key(self.project.offline_key, passphrase)
        if isinstance(shipment, Shipment):
            shipping.sign(shipment, key)
        else:
            application_shipping.sign_application(shipment, key)

    def publish(
        self, shipment: Shipment | ApplicationShipment, passphrase: str | None = None, *,
        application: ApplicationShipment | None = None,
    ) -> Head:
        """Publish what is signed in the project's site with its online key; return the channel's head.

        With `application` the firmware of `shipment` and the application are offered together. Boards can
        take both as patches from those before them: as many as the project says, usually three.
        """
        firmware = shipment if isinstance(shipment, Shipment) else None
        program = application if firmware is not None else shipment
        assert program is None or isinstance(program, ApplicationShipment)
        if shipment.is_done and (application is None or application.is_done):
            assert shipment.last is not None
            return shipment.last
        if firmware is not None:
            shipping.add_patches(firmware, self._patches)
        return application_shipping.publish_together(
            firmware, program, self._key(self.project.online_key, passphrase), int(time.time()))

    @property
    def _patches(self) -> int:
        return PATCHES_USUAL if self.project.patches is None else self.project.patches

    @property
    def _paths(self) -> ReleasePaths:
        return ReleasePaths(
            site=Store(self.project.site), keys_path=self.project.keys, releases=self.project.releases)

    @staticmethod
    def _key(path: Path, passphrase: str | None) -> SigningKey:
        return SigningKey.load(path, lambda: passphrase.encode() if passphrase else None)


def _read(path: Path | str) -> bytes:
    return read_bytes(Path(path), _IMAGE_BYTES_MAX)
