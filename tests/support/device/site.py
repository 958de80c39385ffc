"""A release directory signed by the test keys, the real server, and a board that updates from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slotbench.mpy import sources
from slotbench.mpy.inline import constants
from slotbench.release.publish import Rollout
from slotbench.release.publisher import Publisher
from slotbench.server import create_app
from slotbench.vboard.network.base import HttpRequest
from slotbench.vboard.network.wsgi import WsgiApp
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, NOW, PRODUCT, VECTORS, DeviceBoard, firmware, keys_document
from support.device.release import COUNTER, SignedOffer

IMAGE = firmware(2)
BLOCKS = -(-len(IMAGE) // 4096)
_NAMES = constants("constants.py", sources()["constants.py"].decode())
STATES = ("IDLE", "HEAD", "RELEASE", "TABLE", "SCAN", "DOWNLOAD", "VERIFY", "ACTIVATE", "DONE")
IDLE, HEAD, RELEASE, TABLE, SCAN, DOWNLOAD, VERIFY, ACTIVATE, DONE = (int(_NAMES[f"STATE_{name}"]) for name in STATES)
SEQ = NOW + 60 - 1_577_836_800
"""The seq of the first head of a `Site`."""


class Site:
    """What a publisher has; `publish` offers firmware(2) as release 6 unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        keys = folder / "keys"
        keys.mkdir(parents=True)
        for role in ("offline", "online"):
            path = keys / f"{role}.pem"
            path.write_bytes((VECTORS / "keys" / f"test-only-{role}.pem").read_bytes())
            path.chmod(0o600)
        (keys / f"{PRODUCT}.keys").write_bytes(keys_document())
        self.publisher = Publisher(folder, PRODUCT, NOW)
        self.root = self.publisher.site.root
        self.issued = NOW

    def publish(
        self, image: bytes = IMAGE, *, counter: int = COUNTER, version: str = "2.0.0", floor: int = 3,
        channel: str = "stable", rollout: Rollout = Rollout(), patches: int = 0,
    ) -> None:
        self.issued += 60
        self.publisher.publish(
            image, [BOARD], version=version, counter=counter, now=self.issued, floor=floor, channels=(channel,),
            rollout=rollout, patches=patches)

    def app(self) -> WsgiApp:
        app: WsgiApp = create_app(self.root)
        return app


class Updater:
    """A board, its VM and its agent."""

    def __init__(self, board: DeviceBoard, vm: CPythonVM) -> None:
        self.board, self.vm, self.network = board, vm, board.network
        self.agent: Any = vm.import_("twoslot").load_agent()
        self.losses = 0

    def run(self, *, until: int | None = None, **begin: Any) -> int:
        """Begin, and step to the end or to a state; lost connections are taken up at once."""
        self.agent.begin(**begin)
        return self.go_on(until=until)

    def go_on(self, *, until: int | None = None) -> int:
        lost = self.vm.import_("twoslot.errors").LinkError
        while self.agent.state != until:
            try:
                if not self.step():
                    break
            except lost:
                self.losses += 1
                assert self.losses < 1000, "the attempt never ends"
                if not self.agent.state:
                    raise
        state: int = self.agent.state
        return state

    def step(self) -> bool:
        """The agent's next piece. What an error broke off is settled, as after each tick(), and raised."""
        try:
            return bool(self.agent.step())
        except self.vm.import_("twoslot.errors").TwoslotError as error:
            self.vm.import_("twoslot.outcome").break_off(self.agent, error)
            raise

    def images(self) -> list[HttpRequest]:
        """The requests for the image."""
        return [request for request in self.network.requests if request.path.startswith("/images/")]

    def image_bytes(self) -> int:
        """Bytes that came for the image, without the heads of the answers (at most 400 bytes each)."""
        return sum(request.received for request in self.images())

    def erased_blocks(self) -> list[int]:
        """Numbers of the image's blocks whose sector was erased, in order."""
        image = BOARD.slots[1].image
        return [(addr - image.start) // 4096 for addr in self.board.erased() if addr in image]

    def written_blocks(self) -> list[int]:
        """Numbers of the image's blocks whose first bytes were written, in order."""
        image = BOARD.slots[1].image
        return [
            (op.addr - image.start) // 4096 for op in self.board.operations()
            if op.kind == "program" and op.addr in image and op.addr % 4096 == 0]

    def slot(self, size: int = len(IMAGE)) -> bytes:
        """What slot B holds."""
        return self.board.flash.peek(BOARD.slots[1].image.start, size)


def without_ranges(app: WsgiApp) -> WsgiApp:
    """A server that knows no ranges."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ.pop("HTTP_RANGE", None)
        return app(environ, start_response)

    return serve


def files_app(files: Mapping[str, bytes | tuple[str, list[tuple[str, str]]]]) -> WsgiApp:
    """A server of these files by path; a pair is a status and headers instead of a file."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        found = files.get(environ["PATH_INFO"], ("404 Not Found", []))
        status, headers, body = ("200 OK", [], found) if isinstance(found, bytes) else (*found, b"")
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return serve


def offer_files(
    offered: SignedOffer, release: Mapping[str, Any], digest: str, image: bytes, table: bytes,
) -> dict[str, bytes]:
    """The files of an offer, where its documents say they are."""
    ref = release["images"]["any"]
    return {
        f"/heads/{PRODUCT}/stable.head": offered.head, f"/releases/{digest}.release": offered.release,
        "/" + ref["url"]: image, "/" + ref["blocks_url"]: table,
    }
