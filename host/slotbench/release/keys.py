"""Private keys: RSA-3072 in PEM files of mode 0600, and the keys document that names them.

PKCS#8 (RFC 5958), signatures RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017), both by `cryptography`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from slotbench.errors import USAGE, BenchError
from slotbench.formats import document
from slotbench.formats.document import EXPONENT, MODULUS_BYTES, Document
from slotbench.formats.keys import Keys
from slotbench.private import PRIVATE, is_open_to_others, PUBLIC
from slotbench.release.files import read_bytes, write_new_files

_BITS = 8 * MODULUS_BYTES
_PEM_BYTES_MAX = 65536

_LOST = (
    "check the path; a lost key comes back from a backup (slotbench keys restore), and another online key is "
    "made by `slotbench keys rotate --online`")

_log = logging.getLogger(__name__)


class WrongPassphrase(BenchError):
    """The key is encrypted with another passphrase."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and the file it came from (`where`)."""

    private: rsa.RSAPrivateKey
    where: str

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key. Takes about a second."""
        return cls(rsa.generate_private_key(public_exponent=EXPONENT, key_size=_BITS), "new key")

    @classmethod
    def load(cls, path: Path, passphrase: Callable[[], bytes | None] = lambda: None) -> SigningKey:
        """Read the key in a PEM file. `passphrase` is called only if the file is encrypted.

        Raises BenchError if the file cannot be read, if it is not an RSA-3072 private key, or if the
        passphrase is wrong or missing.
        """
        try:
            pem = read_bytes(path, _PEM_BYTES_MAX)
        except BenchError as error:
            if not path.exists():
                error.cure = _LOST
            raise
        try:
            private: object = _read_plain(pem)
        except TypeError:
            private = _decrypt_key(pem, passphrase(), path)
        except (ValueError, UnsupportedAlgorithm):
            raise BenchError(
                "not a private key", where=str(path),
                cure="make one with `slotbench keys new`", exit_code=USAGE,
            ) from None
        if (
            not isinstance(private, rsa.RSAPrivateKey) or private.key_size != _BITS
            or private.public_key().public_numbers().e != EXPONENT
        ):
            raise BenchError(
                "not an RSA-3072 key", where=str(path), cure="make one with `slotbench keys new`",
                exit_code=USAGE)
        if is_open_to_others(path):
            _log.warning("%s can be read by others; run chmod 600 on it", path)
        return cls(private, str(path))

    @property
    def modulus(self) -> bytes:
        """The modulus: 384 bytes, big-endian."""
        return self.private.public_key().public_numbers().n.to_bytes(MODULUS_BYTES, "big")

    @property
    def key_id(self) -> str:
        """The id of the key in documents."""
        return document.key_id(self.modulus)

    def sign(self, payload: bytes) -> Document:
        """Sign a payload with this key; return the document. Raises BenchError if the key is damaged."""
        signature = self.private.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        try:
            self.private.public_key().verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise BenchError(
                "the key signs wrongly", where=self.where, cure="restore its file from a backup") from None
        return Document(payload, self.key_id, signature)

    def to_pem(self, passphrase: bytes | None) -> bytes:
        """The key in PKCS#8 PEM, encrypted if there is a passphrase."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase)
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@functools.lru_cache(maxsize=32)
def _read_plain(pem: bytes) -> object:
    """The private key of an unencrypted PEM. Raises ValueError if its numbers do not belong together."""
    return _load(pem, None)


def _load(pem: bytes, passphrase: bytes | None) -> object:
    """The private key of a PEM. That its numbers belong together is checked here. That two of them are primes
    is not: it takes a quarter of a second, and a key that signs wrongly is found at its first signature.
    """
    private = serialization.load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)
    if isinstance(private, rsa.RSAPrivateKey):
        it = private.private_numbers()
        n, e = it.public_numbers.n, it.public_numbers.e
        right = (
            it.p * it.q == n and it.iqmp * it.q % it.p == 1
            and all(e * number % (prime - 1) == 1 for prime, number in (
                (it.p, it.d), (it.q, it.d), (it.p, it.dmp1), (it.q, it.dmq1))))
        if not right:
            raise ValueError("the numbers of the key do not belong together")
    return private


def _decrypt_key(pem: bytes, passphrase: bytes | None, path: Path) -> object:
    if passphrase is None:
        raise BenchError(
            "key has a passphrase", where=str(path),
            cure="give --passphrase-file or set SLOTBENCH_PASSPHRASE", exit_code=USAGE)
    try:
        return _load(pem, passphrase)
    except ValueError:
        raise WrongPassphrase(
            "wrong passphrase", where=str(path), cure="give the right one", exit_code=USAGE) from None


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The files that were written: PEM files by role, and the newest keys document with its path."""

    private: dict[str, Path]
    document_path: Path
    keys: Keys


def create_keys(
    folder: Path, product: str, now: int, *, passphrase: bytes | None = None, spare: bool = False,
) -> NewKeys:
    """Make offline.pem, online.pem and PRODUCT.keys (epoch 1, issued `now` in Unix seconds) in `folder`.

    `spare` adds offline-spare.pem, which is pinned too. Keep it in another place: with it a lost offline key
    is replaced without touching a board. Overwrites nothing and writes all files or none. Raises BenchError.
    """
    roles = ["offline", *(["offline-spare"] if spare else []), "online"]
    private = {role: folder / f"{role}.pem" for role in roles}
    signing = {role: SigningKey.generate() for role in roles}
    keys = Keys(
        product=product, epoch=1, issued=now,
        offline=tuple(signing[role].modulus for role in roles[:-1]), online=signing["online"].modulus,
    )
    signed = signing["offline"].sign(keys.to_payload())
    document_path = folder / f"{product}.keys"
    files = {path: (signing[role].to_pem(passphrase), PRIVATE) for role, path in private.items()}
    files[document_path] = (signed.pack(), PUBLIC)
    write_new_files(files)
    return NewKeys(private, document_path, keys)
