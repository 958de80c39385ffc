"""Private keys and keys documents (`release.keys`, `release.documents`)."""

from __future__ import annotations

import base64
import logging
import math
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.keys import Keys
from slotbench.release import keys as release_keys
from slotbench.release import documents
from slotbench.release.keys import SigningKey
from support.commands import MakeRelease
from support.samples import NOW, PRODUCT, KeyRing, files_below


def test_new_keys_and_their_document(tmp_path: Path) -> None:
    made = release_keys.create_keys(tmp_path / "keys", PRODUCT, NOW, spare=True)

    assert files_below(tmp_path) == {
        "keys/offline.pem", "keys/offline-spare.pem", "keys/online.pem", "keys/sensor.keys"}
    for path in made.private.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    signed, keys = documents.read_keys(made.document_path)
    loaded = {role: SigningKey.load(path) for role, path in made.private.items()}
    assert signed.key_id == loaded["offline"].key_id
    assert keys == made.keys == Keys(
        product=PRODUCT, epoch=1, issued=NOW, online=loaded["online"].modulus,
        offline=(loaded["offline"].modulus, loaded["offline-spare"].modulus))
    assert all(key.private.key_size == 3072 for key in loaded.values())


def test_existing_keys_are_not_overwritten(ring: KeyRing, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in ring.offline.parent.iterdir()}

    with pytest.raises(BenchError, match="offline.pem; choose another folder") as caught:
        release_keys.create_keys(ring.offline.parent, "other", NOW)

    assert caught.value.exit_code == 2
    assert {path: path.read_bytes() for path in ring.offline.parent.iterdir()} == before


def test_a_key_with_a_passphrase(ring: KeyRing) -> None:
    key = ring.load("offline")
    ring.offline.write_bytes(key.to_pem(b"secret"))
    asked: list[int] = []

    loaded = SigningKey.load(ring.offline, lambda: asked.append(1) or b"secret")

    assert loaded.modulus == key.modulus and asked == [1]
    assert b"ENCRYPTED" in ring.offline.read_bytes()
    with pytest.raises(BenchError, match="wrong passphrase: .*offline.pem") as caught:
        SigningKey.load(ring.offline, lambda: b"Secret")
    assert caught.value.exit_code == 2
    with pytest.raises(BenchError, match="key has a passphrase: .*; give --passphrase-file or set"):
        SigningKey.load(ring.offline)


def test_a_key_without_a_passphrase_asks_for_none(ring: KeyRing) -> None:
    SigningKey.load(ring.offline, lambda: pytest.fail("asked"))


@pytest.mark.parametrize("generate", [
    lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    lambda: rsa.generate_private_key(public_exponent=3, key_size=3072),
    lambda: ec.generate_private_key(ec.SECP256R1()),
], ids=["2048 bits", "e = 3", "EC"])
def test_a_key_of_another_kind_is_refused(tmp_path: Path, generate: Callable[[], PrivateKeyTypes]) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    path.chmod(0o600)

    with pytest.raises(BenchError, match="not an RSA-3072 key") as caught:
        SigningKey.load(path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["n", "p", "q", "d", "dmp1", "dmq1", "iqmp"])
def test_a_key_whose_numbers_do_not_belong_together_is_refused(tmp_path: Path, name: str) -> None:
    private = SigningKey.generate().private
    numbers = private.private_numbers()
    number = numbers.public_numbers.n if name == "n" else int(getattr(numbers, name))
    right, wrong = (value.to_bytes(-(-number.bit_length() // 8), "big") for value in (number, number ^ 2))
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert der.count(right) == 1
    path = tmp_path / "key.pem"
    write_pem(path, der.replace(right, wrong))
    with pytest.raises(BenchError, match="not a private key"):
        SigningKey.load(path)


def test_a_key_whose_numbers_are_no_primes_signs_nothing(tmp_path: Path) -> None:
    q = SigningKey.generate().private.private_numbers().q
    p = next(p for p in range((3 << 1534) + 1, 4 << 1534, 2) if math.gcd(65537 * q, p * (p - 1)) == 1 and pow(2, p - 1, p) != 1)
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    private = rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, p * q)).private_key(
            unsafe_skip_rsa_key_validation=True)
    path = tmp_path / "key.pem"
    write_pem(path, private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    damaged = SigningKey.load(path)
    with pytest.raises(BenchError, match="the key signs wrongly: .*key.pem"):
        damaged.sign(b"a release")


def write_pem(path: Path, der: bytes) -> None:
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----\n")
    path.chmod(0o600)


def test_a_file_that_is_not_a_key_is_refused(ring: KeyRing) -> None:
    with pytest.raises(BenchError, match="not a private key: .*sensor.keys; make one with"):
        SigningKey.load(ring.document)


def test_a_key_that_others_can_read_is_logged(ring: KeyRing, caplog: pytest.LogCaptureFixture) -> None:
    ring.offline.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        SigningKey.load(ring.offline)
    assert "offline.pem can be read by others; run chmod 600 on it" in caplog.text
    caplog.clear()
    SigningKey.load(ring.online)
    assert caplog.text == ""


def test_a_keys_document_is_signed_by_one_of_its_own_keys(ring: KeyRing) -> None:
    ring.document.write_bytes(ring.load("stranger").sign(ring.keys.to_payload()).pack())

    with pytest.raises(BenchError, match="is not a key of sensor: .*sensor.keys"):
        documents.read_keys(ring.document)


def test_a_release_is_not_a_keys_document(ring: KeyRing, make_release: MakeRelease) -> None:
    with pytest.raises(FormatError, match="document kind is release, not keys: .*, field kind"):
        documents.read_keys(make_release())
