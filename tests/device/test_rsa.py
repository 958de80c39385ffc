"""twoslot.trust.rsa: what `cryptography` signs is accepted, and nothing else: no other number, padding or hash."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from typing import Any

import pytest

from slotbench.formats import document
from slotbench.release.keys import SigningKey
from slotbench.vboard.vm import CPythonVM
from support.device.board import PRODUCT, read_document, refusal, signing_key
from support.device.release import join

MESSAGE = b'{"kind":"release","format":1}'
DIGEST = hashlib.sha256(MESSAGE).digest()
INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@pytest.fixture(scope="module")
def seal(shared_vm: CPythonVM) -> Any:
    return shared_vm.import_("twoslot.trust.rsa")


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return signing_key("offline")


def accepts(seal: Any, modulus: bytes, signature: bytes, digest: bytes) -> bool:
    """What verify says of these numbers."""
    sums = seal.begin(int.from_bytes(modulus, "big"), int.from_bytes(signature, "big"))
    while sums and not seal.step(sums, 0):
        pass
    return bool(sums and seal.is_signature(sums, digest))


def raw(key: SigningKey, block: bytes) -> bytes:
    """The number that RSA turns into this block when it is verified."""
    private, number = key.private.private_numbers(), int.from_bytes(block, "big")
    by_p, by_q = pow(number, private.dmp1, private.p), pow(number, private.dmq1, private.q)
    number = by_q + private.q * ((by_p - by_q) * private.iqmp % private.p)
    return number.to_bytes(384, "big")


def padded(tail: bytes) -> bytes:
    """EMSA-PKCS1-v1_5 of these last bytes."""
    return b"\x00\x01" + b"\xff" * (381 - len(tail)) + b"\x00" + tail


@pytest.mark.parametrize("name", ["offline", "online", "stranger"])
@pytest.mark.parametrize("message", [b"", MESSAGE, bytes(3500)], ids=["empty", "short", "long"])
def test_what_cryptography_signs_is_accepted(seal: Any, name: str, message: bytes) -> None:
    signer = signing_key(name)
    signature = signer.sign(message).signature

    assert accepts(seal, signer.modulus, signature, hashlib.sha256(message).digest())


def test_the_key_id_is_the_benchs(seal: Any, key: SigningKey) -> None:
    assert seal.key_id(key.modulus) == key.key_id == document.key_id(key.modulus)


def test_another_digest_or_key_is_refused(seal: Any, key: SigningKey) -> None:
    signature = key.sign(MESSAGE).signature

    assert not accepts(seal, key.modulus, signature, hashlib.sha256(MESSAGE + b" ").digest())
    assert not accepts(seal, signing_key("online").modulus, signature, DIGEST)


def test_any_changed_byte_is_refused(seal: Any, key: SigningKey) -> None:
    rng = random.Random(7)
    for place in (0, 1, 383, *rng.sample(range(2, 383), 25)):
        for wrong in ("signature", "modulus"):
            parts = {"signature": bytearray(key.sign(MESSAGE).signature), "modulus": bytearray(key.modulus)}
            parts[wrong][place] ^= 1 << rng.randrange(8)
            assert not accepts(seal, bytes(parts["modulus"]), bytes(parts["signature"]), DIGEST), (
                f"byte {place} of the {wrong} does not matter")


def test_numbers_that_are_no_signatures_are_refused(seal: Any, key: SigningKey) -> None:
    n = int.from_bytes(key.modulus, "big")
    for number in (0, 1, n - 1, n, n + 1, (1 << 3072) - 1):
        assert not accepts(seal, key.modulus, number.to_bytes(384, "big"), DIGEST), f"s = {number:#x}"


def test_a_signature_plus_the_modulus_is_refused(seal: Any, key: SigningKey) -> None:
    """The same number modulo n: RFC 8017, 8.2.2 wants it below n."""
    n = int.from_bytes(key.modulus, "big")
    for number in range(100):
        message = b"%d" % number
        signature = int.from_bytes(key.sign(message).signature, "big")
        if signature + n < 1 << 3072:
            break
    else:
        pytest.fail("no signature is small enough")
    digest = hashlib.sha256(message).digest()

    assert accepts(seal, key.modulus, signature.to_bytes(384, "big"), digest)
    assert not accepts(seal, key.modulus, (signature + n).to_bytes(384, "big"), digest)


def read_by(vm: CPythonVM, modulus: bytes, signature: bytes) -> Any:
    """Read a release with this signature on a board that pins this modulus."""
    keys = {"offline": [base64.b64encode(modulus).decode()], "online": "", "epoch": 1, "issued": 0, "product": PRODUCT}
    vm.runtime.files["/twoslot.keys"] = json.dumps(keys).encode() + b"\n"
    text = join(MESSAGE, document.key_id(modulus), signature)
    return read_document(vm, text, "release")


def test_a_release_of_a_pinned_key_is_read(shared_vm: CPythonVM, key: SigningKey) -> None:
    j, digest, _ = read_by(shared_vm, key.modulus, key.sign(MESSAGE).signature)

    assert (j, digest) == ({"kind": "release", "format": 1}, DIGEST)


@pytest.mark.parametrize("cut", [slice(0, 382), slice(0, 383), slice(1, 384), slice(2, 384)])
def test_a_short_signature_is_refused(shared_vm: CPythonVM, key: SigningKey, cut: slice) -> None:
    """Of those whose 512 characters hold fewer than 384 bytes."""
    with refusal(shared_vm, "ReleaseError", 22, 0):
        read_by(shared_vm, key.modulus, key.sign(MESSAGE).signature[cut])


@pytest.mark.parametrize("cut", [slice(0, 0), slice(0, 383), slice(1, 384), slice(0, 1)])
def test_a_short_modulus_is_refused(shared_vm: CPythonVM, key: SigningKey, cut: slice) -> None:
    with refusal(shared_vm, "ReleaseError", 22, 0):
        read_by(shared_vm, key.modulus[cut], key.sign(MESSAGE).signature)


@pytest.mark.parametrize(("before", "after"), [(b"\0", b""), (b"", b"\0"), (b"\0" * 384, b"")])
def test_a_long_signature_or_modulus_is_refused(
    shared_vm: CPythonVM, key: SigningKey, before: bytes, after: bytes,
) -> None:
    """Also those that are the same number."""
    signature = key.sign(MESSAGE).signature

    with refusal(shared_vm, "ReleaseError", 20):
        read_by(shared_vm, key.modulus, before + signature + after)
    with refusal(shared_vm, "ReleaseError", 22, 0):
        read_by(shared_vm, before + key.modulus + after, signature)


SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")
SHA512_INFO = bytes.fromhex("3051300d060960864801650304020305000440")
NO_NULL = bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20"
LONG_LENGTH = bytes.fromhex("308131300d060960864801650304020105000420")
RIGHT = padded(INFO + DIGEST)
FORGED = {
    "garbage after the digest": (
        b"\x00\x01" + b"\xff" * 8 + b"\x00" + INFO + DIGEST + (bytes(range(256)) * 2)[:322]),
    "zeros after the digest": b"\x00\x01" + b"\xff" * 8 + b"\x00" + INFO + DIGEST + bytes(322),
    "no padding": b"\x00\x01\x00" + INFO + DIGEST + bytes(330),
    "short padding, zeros in front": bytes(300) + b"\x00\x01" + b"\xff" * 30 + b"\x00" + INFO + DIGEST,
    "padding of zeros": b"\x00\x01" + bytes(381 - 51) + b"\x00" + INFO + DIGEST,
    "a hole in the padding": RIGHT[:100] + b"\x00" + RIGHT[101:],
    "another byte in the padding": RIGHT[:100] + b"\xfe" + RIGHT[101:],
    "block type 2": b"\x00\x02" + RIGHT[2:],
    "block type 0": b"\x00\x00" + RIGHT[2:],
    "first byte not 0": b"\x01" + RIGHT[1:],
    "no separator": b"\x00\x01" + b"\xff" * (382 - 51) + INFO + DIGEST,
    "bare digest": padded(DIGEST),
    "SHA-1 of the message": padded(SHA1_INFO + hashlib.sha1(MESSAGE).digest()),
    "SHA-512 of the message": padded(SHA512_INFO + hashlib.sha512(MESSAGE).digest()),
    "SHA-1 named, SHA-256 given": padded(SHA1_INFO[:-1] + b"\x20" + DIGEST),
    "no NULL parameters": padded(NO_NULL + DIGEST),
    "length in long form": padded(LONG_LENGTH + DIGEST),
    "digest cut short": padded(INFO[:-1] + b"\x1f" + DIGEST[:31]),
    "digest of another message": padded(INFO + hashlib.sha256(b"").digest()),
    "parameters that hide garbage": padded(
        bytes.fromhex("308180305c0609608648016503040201") + b"\x04\x4f" + bytes(79) + b"\x04\x20" + DIGEST),
}


def test_the_forger_of_these_tests_can_make_right_ones(seal: Any, key: SigningKey) -> None:
    assert accepts(seal, key.modulus, raw(key, RIGHT), DIGEST)
    assert raw(key, RIGHT) == key.sign(MESSAGE).signature


@pytest.mark.parametrize("shape", FORGED)
def test_a_forged_block_is_refused_though_the_key_is_right(seal: Any, key: SigningKey, shape: str) -> None:
    block = FORGED[shape]
    assert len(block) == 384, "the forgery itself is malformed"

    assert not accepts(seal, key.modulus, raw(key, block), DIGEST), f"accepted: {shape}"
