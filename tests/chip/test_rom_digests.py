"""The ROM's digests and ciphers against hashlib, hmac and the cryptography package, on seeded random data."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from support.chip.rom_calls import FREE, RomCalls

CONTEXT, DIGEST, DATA, KEY, TABLE = FREE, FREE + 0x100, FREE + 0x1000, FREE + 0x200, FREE + 0x300
ROUNDS = 30


pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture(scope="module")
def rom(core: Path) -> RomCalls:
    return RomCalls()


def drawn(seed: str) -> random.Random:
    print("seed:", seed)
    return random.Random(seed)


@pytest.mark.parametrize(("name", "digest", "size"), [("MD5", hashlib.md5, 16), ("SHA1", hashlib.sha1, 20)])
def test_digests_in_pieces_of_any_size(rom: RomCalls, name: str, digest: object, size: int) -> None:
    noise = drawn(name)
    for length in [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, *(noise.randrange(3000) for _ in range(ROUNDS))]:
        data = noise.randbytes(length)
        rom.call(f"{name}Init", CONTEXT)
        at = 0
        while at < length:
            piece = data[at : at + noise.choice((1, 3, 64, 100, 1000))]
            rom.call(f"{name}Update", CONTEXT, rom.put(piece, DATA + noise.randrange(4)), len(piece))
            at += len(piece)
        rom.call(f"{name}Final", DIGEST, CONTEXT)
        assert rom.get(DIGEST, size) == digest(data).digest(), length  # type: ignore[operator]


def test_context_sizes_are_the_public_ones(rom: RomCalls) -> None:
    """88 and 92 bytes: firmware has no more room for them."""
    for name, size in (("MD5", 88), ("SHA1", 92)):
        rom.put(bytes([0xA5]) * 128, CONTEXT)
        rom.call(f"{name}Init", CONTEXT)
        rom.call(f"{name}Update", CONTEXT, rom.put(bytes(200), DATA), 200)
        rom.call(f"{name}Final", DIGEST, CONTEXT)
        assert rom.get(CONTEXT + size, 128 - size) == bytes([0xA5]) * (128 - size)


def put_parts(rom: RomCalls, parts: list[bytes]) -> tuple[int, int]:
    """A table of addresses and one of lengths, as the ..._vector functions take them."""
    at, addresses = DATA, []
    for part in parts:
        addresses.append(rom.put(part, at))
        at += len(part) + 3
    rom.put(struct.pack(f"<{len(parts)}I", *addresses), TABLE)
    rom.put(struct.pack(f"<{len(parts)}I", *map(len, parts)), TABLE + 0x40)
    return TABLE, TABLE + 0x40


@pytest.mark.parametrize(("name", "size"), [("md5", 16), ("sha1", 20)])
def test_macs(rom: RomCalls, name: str, size: int) -> None:
    noise = drawn(f"hmac {name}")
    for _ in range(ROUNDS):
        key = noise.randbytes(noise.choice((0, 8, 20, 64, 65, 100)))
        parts = [noise.randbytes(noise.randrange(150)) for _ in range(noise.randrange(1, 5))]
        addresses, lengths = put_parts(rom, parts)
        rom.call(f"{name}_vector", len(parts), addresses, lengths, DIGEST)
        assert rom.get(DIGEST, size) == hashlib.new(name, b"".join(parts)).digest()
        rom.call(f"hmac_{name}_vector", rom.put(key, KEY), len(key), len(parts), addresses, lengths, DIGEST)
        assert rom.get(DIGEST, size) == hmac.new(key, b"".join(parts), name).digest()
        rom.call(f"hmac_{name}", KEY, len(key), rom.put(parts[0], DATA), len(parts[0]), DIGEST)
        assert rom.get(DIGEST, size) == hmac.new(key, parts[0], name).digest()


@pytest.mark.parametrize(("iterations", "length"), [(1, 20), (2, 32), (17, 45), (100, 7)])
def test_key_of_a_network(rom: RomCalls, iterations: int, length: int) -> None:
    rom.put(b"micropythoN\0", KEY)
    name = b"MicroPython-b2c3a1"
    assert rom.call("pbkdf2_sha1", KEY, rom.put(name, DATA), len(name), iterations, DIGEST, length) == 0
    assert rom.get(DIGEST, length) == hashlib.pbkdf2_hmac("sha1", b"micropythoN", name, iterations, length)


def test_key_expansion(rom: RomCalls) -> None:
    """sha1_prf of 802.11i: HMACs of label, zero, data and a counter."""
    noise = drawn("prf")
    key, data, label = noise.randbytes(32), noise.randbytes(76), b"Pairwise key expansion"
    wanted = b"".join(hmac.new(key, label + b"\0" + data + bytes([i]), "sha1").digest() for i in range(4))
    rom.put(key, KEY), rom.put(label + b"\0", KEY + 0x40), rom.put(data, DATA)
    rom.call("sha1_prf", KEY, len(key), KEY + 0x40, DATA, len(data), DIGEST, 64)
    assert rom.get(DIGEST, 64) == wanted[:64]


def test_rc4(rom: RomCalls) -> None:
    noise = drawn("rc4")
    key, data = noise.randbytes(16), noise.randbytes(333)
    state, i, j, stream = list(range(256)), 0, 0, bytearray()
    for i in range(256):
        j = (j + state[i] + key[i % 16]) & 0xFF
        state[i], state[j] = state[j], state[i]
    i = j = 0
    for _ in range(256 + len(data)):
        i = (i + 1) & 0xFF
        j = (j + state[i]) & 0xFF
        state[i], state[j] = state[j], state[i]
        stream.append(state[(state[i] + state[j]) & 0xFF])
    rom.call("rc4_skip", rom.put(key, KEY), 16, 256, rom.put(data, DATA), len(data))
    assert rom.get(DATA, len(data)) == bytes(a ^ b for a, b in zip(data, stream[256:]))


def test_aes(rom: RomCalls) -> None:
    noise = drawn("aes")
    for _ in range(ROUNDS):
        key, block = noise.randbytes(16), noise.randbytes(16)
        rom.call("rijndaelKeySetupDec", CONTEXT, rom.put(key, KEY))
        rom.call("aes_decrypt", CONTEXT, rom.put(block, DATA), DIGEST)
        cipher = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
        assert rom.get(DIGEST, 16) == cipher.update(block)
    wanted = noise.randbytes(24)
    wrapped = aes_key_wrap(key, wanted)
    assert rom.call("aes_unwrap", KEY, 3, rom.put(wrapped, DATA), DIGEST) == 0
    assert rom.get(DIGEST, 24) == wanted
    assert rom.call("aes_unwrap", KEY, 3, rom.put(bytes([wrapped[0] ^ 1]) + wrapped[1:], DATA), DIGEST) == 0xFFFFFFFF


def test_aes_tables_have_the_known_first_entries(rom: RomCalls) -> None:
    """Firmware reads them by their addresses."""
    te0, td0 = (rom.words(rom.address(name), 256) for name in ("Te0", "Td0"))
    assert (te0[0], te0[255], td0[0], td0[255]) == (0xC66363A5, 0x2C16163A, 0x51F4A750, 0xD0B85742)
    assert rom.get(rom.address("Td4s"), 4) == bytes.fromhex("52096ad5")
    assert rom.get(rom.address("rcons"), 10) == bytes.fromhex("01020408102040801b36")


def test_base64(rom: RomCalls) -> None:
    noise = drawn("base64")
    rom.call("mem_init", FREE + 0x8000, FREE + 0xC000)
    for length in (0, 1, 2, 3, 53, 54, 55, 300):
        data = noise.randbytes(length)
        text = rom.call("base64_encode", rom.put(data, DATA), length, TABLE)
        got = rom.get(text, rom.words(TABLE, 1)[0])
        assert got.replace(b"\n", b"") == base64.b64encode(data)
        assert all(len(line) <= 72 for line in got.split(b"\n"))
        back = rom.call("base64_decode", rom.put(got, DATA), len(got), TABLE)
        assert rom.get(back, rom.words(TABLE, 1)[0]) == data
        rom.call("mem_free", text), rom.call("mem_free", back)
