"""A product's keys and its site in one folder, for demos, tests and small teams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slotbench.boards import BoardProfile
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys
from slotbench.formats.release import Release
from slotbench.release import documents, epochs, keys
from slotbench.release.build import build_release
from slotbench.release.files import write_atomic
from slotbench.release.keys import SigningKey
from slotbench.release.patches import encodings_for, write_patches
from slotbench.release.publish import Rollout, publish_release, refresh_heads
from slotbench.release.sign import sign_file
from slotbench.release.store import Store


class Publisher:
    """Publishes releases of one product from `folder`.

    The folder holds keys/ (offline.pem, online.pem, PRODUCT.keys), site/ (for a web server) and the releases.
    Missing keys are made, issued at `now` (Unix seconds). Both private keys in one place are for a bench
    only; keep the offline key of a real product elsewhere.
    """

    def __init__(self, folder: Path, product: str, now: int) -> None:
        self.folder = folder
        self.product = product
        self.keys_path = folder / "keys" / f"{product}.keys"
        self.site = Store(folder / "site")
        if not self.keys_path.exists():
            keys.create_keys(self.keys_path.parent, product, now)
        self.offline_keys: tuple[SigningKey, ...] = (
            SigningKey.load(self.keys_path.with_name("offline.pem")),)
        self.online = SigningKey.load(self.keys_path.with_name("online.pem"))

    @property
    def keys(self) -> Keys:
        """The pinned keys."""
        return documents.read_keys(self.keys_path)[1]

    def rotate(
        self, now: int, *, online: SigningKey | None = None, add: SigningKey | None = None,
        drop: str | None = None,
    ) -> None:
        """Make the next key epoch: replace the online key, add or remove an offline key. Publishes nothing.

        From then on the new keys sign. Raises BenchError.
        """
        signer = next(key for key in self.offline_keys if key.key_id != drop)
        epochs.rotate_keys(
            self.keys_path.parent, self.product, signer, now, online=online, add=add, drop=drop)
        self.online = online or self.online
        kept = [key for key in (add, *self.offline_keys) if key and key.key_id != drop]
        self.offline_keys = tuple(kept)

    @property
    def offline(self) -> SigningKey:
        """The offline key that signs."""
        return self.offline_keys[0]

    def refresh(self, now: int) -> list[Head]:
        """Sign all heads again and publish the keys. Raises BenchError."""
        return refresh_heads(self.site, self.keys_path, self.online, now)

    def build(
        self,
        image: bytes | Sequence[bytes],
        boards: Sequence[BoardProfile],
        *,
        version: str,
        counter: int,
        now: int,
        floor: int = 0,
        channels: Sequence[str] = ("stable",),
        patches: int = 0,
    ) -> tuple[Path, Release]:
        """Build and sign a release of `image` (in-place boards: one for each slot). Raises BenchError."""
        release = build_release(
            *_as_sequence(image),
            product=self.product,
            boards=boards,
            version=version,
            counter=counter,
            created=now,
            floor=floor,
            channels=channels,
            encodings=encodings_for(patches),
        )
        path = self.folder / f"{self.product}-{counter}.release"
        write_atomic(path, release.to_payload() + b"\n")
        sign_file(path, self.offline, self.keys)
        return path, release

    def publish(
        self,
        image: bytes | Sequence[bytes],
        boards: Sequence[BoardProfile],
        *,
        version: str,
        counter: int,
        now: int,
        floor: int = 0,
        rollout: Rollout = Rollout(),
        channels: Sequence[str] = ("stable",),
        allow_older: bool = False,
        patches: int = 0,
    ) -> Head:
        """Build, sign and publish a release of `image` in these channels; return the last channel's head.

        `allow_older` as for `publish_release`, `patches` as the count of `write_patches`. Raises BenchError.
        """
        path, made = self.build(
            image, boards, version=version, counter=counter, now=now, floor=floor, channels=channels,
            patches=patches)
        write_patches(self.site, self.keys, made, _as_sequence(image), patches)
        heads = [
            publish_release(
                self.site, path, self.keys_path, _as_sequence(image), self.online, now, channel=channel,
                rollout=rollout, allow_older=allow_older,
            )
            for channel in channels
        ]
        return heads[-1]


def _as_sequence(image: bytes | Sequence[bytes]) -> Sequence[bytes]:
    return (image,) if isinstance(image, bytes) else image
