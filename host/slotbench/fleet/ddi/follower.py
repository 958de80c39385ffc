"""Follows a hawkBit server: what it assigns is published here, if it is a signed release of ours."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slotbench import __version__
from slotbench.application.bundle import Bundle
from slotbench.errors import USAGE, BenchError
from slotbench.fleet.ddi.archive import is_archive, read_archive
from slotbench.fleet.ddi.client import DdiClient, DdiError
from slotbench.fleet.ddi.messages import plain_text
from slotbench.formats import FormatError
from slotbench.formats.application import KIND as APPLICATION
from slotbench.formats.document import DOCUMENT_BYTES_MAX, split_document
from slotbench.formats.fields import kind_of
from slotbench.formats.file_list import sort_key
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import KIND as RELEASE
from slotbench.formats.release import LENGTH_MAX
from slotbench.release import documents, store
from slotbench.release.patches import write_patches
from slotbench.release.publish import Rollout, publish_offer
from slotbench.release.sign import check_role
from slotbench.release.signer import HeadSigner
from slotbench.release.store import Store

__all__ = ["HawkbitFollower"]

_ARTIFACTS_MAX: Final = 16
_ARCHIVE_BYTES_MAX: Final = 2 * LENGTH_MAX + 6 * 1024 * 1024
_FILES_FOLDER: Final = ".files/"
_ARCHIVES: Final = (".swu", ".cpio")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Offered:
    """An artifact of a deployment, as the server describes it: nothing of it is believed."""

    filename: str
    link: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HawkbitFollower:
    """Publishes in `channel` of `site` what the server of `client` assigns, with this rollout.

    A release or an application is published only if an offline key of the product signed it; `key`, the
    online key, signs the head. `clock` gives Unix seconds. `told` is called with each head that was
    published, and `say` with each sentence for people. `patches` is from how many releases before it
    boards get patches.
    """

    client: DdiClient
    site: Store
    keys_path: Path
    key: HeadSigner
    channel: str
    rollout: Rollout
    patches: int
    clock: Callable[[], float]
    told: Callable[[Head], None]
    say: Callable[[str], None]

    def turn(self) -> int:
        """Ask the server once, and do what it says. Return seconds until it wants to be asked again.

        Raises BenchError (usage) for what may go better next time: the action stays open there.
        """
        check_role(self.key, self._keys(), Role.ONLINE)
        answer = self.client.poll()
        if link := answer.links.get("configData"):
            self.client.send("PUT", link, {"mode": "merge", "data": {
                "product": self._keys().product, "channel": self.channel, "twoslot": __version__}})
        if link := answer.links.get("cancelAction"):
            self.client.say(link, "closed", "success", "nothing more is published of it")
            self.say("hawkBit called its action off")
        elif link := answer.links.get("deploymentBase"):
            self._deploy(link)
        return answer.sleep_s

    def _deploy(self, link: str) -> None:
        deployment = self.client.get_json(link).get("deployment")
        if not isinstance(deployment, dict):
            raise DdiError("its answer has no deployment", link, "look at that server's log")
        if "skip" in (deployment.get("download"), deployment.get("update")):
            return  # not yet
        self.client.say(link, "proceeding", "none", "downloading")
        try:
            done = self._publish(deployment)
        except DdiError:
            raise
        except BenchError as error:
            if error.exit_code == USAGE:
                raise  # a folder, a key or a clock here: nothing that the release could do about
            _log.warning("hawkBit's release is not published: %s", error)
            self.say(f"not published: {error}")
            self.client.say(link, "closed", "failure", plain_text(f"not published: {error.what}"))
            return
        self.say(done)
        self.client.say(link, "closed", "success", plain_text(done))

    def _publish(self, deployment: Mapping[str, Any]) -> str:
        """Publish what a deployment has; what was done, in words."""
        keys = self._keys()
        with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
            files = _Files(self.client, list(_artifacts(deployment)))
            paths = _signed_documents(files, Path(folder), keys)
            release = images = application = None
            if (path := paths.get(RELEASE)) is not None:
                signed, release = documents.read_release(path, keys)
                if not self._offers(keys.product, signed.digest):
                    images = [files.image(image.sha256, image.length) for image in release.images.values()]
            if (path := paths.get(APPLICATION)) is not None:
                signed, _ = documents.read_application(path, keys)
                if not self._offers(keys.product, signed.digest):
                    application = path, files.bundle()
            if images is None and application is None:
                return f"{keys.product}/{self.channel} has it already"
            if release is not None and images is not None:
                write_patches(self.site, keys, release, images, self.patches)
            head = publish_offer(
                self.site, self.keys_path, self.key, int(self.clock()), channel=self.channel,
                rollout=self.rollout, application=application,
                release=(paths[RELEASE], images) if images is not None else None)
        self.told(head)
        return f"published {head.content()} in {keys.product}/{self.channel} for {head.audience()}"

    def _offers(self, product: str, digest: str) -> bool:
        path = self.site.path(store.head_name(product, self.channel))
        with suppress(BenchError):
            head = documents.read_head(path)[1]
            return digest in (head.release, head.app)
        return False

    def _keys(self) -> Keys:
        return documents.read_keys(self.keys_path)[1]


class _Files:
    """The files of a deployment. Each is downloaded once, and only if it can be what is looked for."""

    def __init__(self, client: DdiClient, offered: Sequence[_Offered]) -> None:
        self._client = client
        self._offered = offered
        self._inside: list[tuple[str, bytes]] | None = None

    def small(self, has_found: Callable[[], bool]) -> Iterator[bytes]:
        """What may be a document: the small files, then those in archives.

        A file that does not have the name of an archive is only taken for one if nothing was found before.
        """
        for each in self._offered:
            if each.size <= DOCUMENT_BYTES_MAX:
                yield self._client.download(each.link, DOCUMENT_BYTES_MAX)
        if not has_found() or any(each.filename.endswith(_ARCHIVES) for each in self._offered):
            yield from (data for _, data in self._archived() if len(data) <= DOCUMENT_BYTES_MAX)

    def image(self, sha256: str, length: int) -> bytes:
        """The image with this digest. Raises BenchError if the deployment does not have it."""
        likely = [each for each in self._offered if each.sha256 == sha256]
        for each in likely or [each for each in self._offered if each.size == length]:
            data = self._client.download(each.link, length)
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        for _, data in self._archived():
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        raise BenchError(
            "the image of the release is not among the files", where=f"SHA-256 {sha256[:16]}...",
            cure="add the image file that the release was built from to the software module")

    def bundle(self) -> Bundle:
        """The files of an application: those in a folder `....files` of an archive, as they lie beside it."""
        inside = ((name.partition(_FILES_FOLDER)[2], data) for name, data in self._archived())
        files = {name: data for name, data in inside if name}
        if not files:
            raise BenchError(
                "the files of the application are not in an archive",
                cure="pack its .application, and the folder .files beside it, with cpio")
        return Bundle(dict(sorted(files.items(), key=lambda item: sort_key(item[0]))), 0)

    def _archived(self) -> Sequence[tuple[str, bytes]]:
        if self._inside is None:
            self._inside = []
            for each in self._offered:
                if each.size <= _ARCHIVE_BYTES_MAX:
                    data = self._client.download(each.link, _ARCHIVE_BYTES_MAX)
                    if is_archive(data):
                        self._inside += read_archive(data)
        return self._inside


def _signed_documents(files: _Files, folder: Path, keys: Keys) -> dict[str, Path]:
    """The release, the application or both of these files, written to `folder`, by their kinds.

    Raises BenchError if there is none, or one that boards would not take.
    """
    found: dict[str, Path] = {}
    for data in files.small(lambda: bool(found)):
        kind = ""
        with suppress(FormatError):
            kind = kind_of(split_document(data).payload)
        if kind not in (RELEASE, APPLICATION) or kind in found:
            continue
        path = folder / f"hawkbit.{kind}"
        path.write_bytes(data)
        (documents.read_release if kind == RELEASE else documents.read_application)(path, keys)
        found[kind] = path
    if not found:
        raise BenchError(
            "no release document is among the files",
            cure="add the signed .release file to the software module")
    return found


def _artifacts(deployment: Mapping[str, Any]) -> Iterator[_Offered]:
    """The artifacts of all chunks. What does not look like one is left out."""
    found = 0
    for chunk in _objects(deployment.get("chunks")):
        for artifact in _objects(chunk.get("artifacts")):
            links, hashes = artifact.get("_links") or artifact.get("links"), artifact.get("hashes")
            link = next((
                each["href"] for name in ("download", "download-http")
                if isinstance(links, dict) and isinstance(each := links.get(name), dict)
                and isinstance(each.get("href"), str)), None)
            size = artifact.get("size")
            if link is None or not isinstance(size, int) or found == _ARTIFACTS_MAX:
                continue
            found += 1
            sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
            yield _Offered(str(artifact.get("filename", "")), link, size, str(sha256 or "").lower())


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    yield from (each for each in (value if isinstance(value, list) else []) if isinstance(each, dict))
