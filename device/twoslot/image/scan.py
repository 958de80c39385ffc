# Scans the spare slot: the block table, the blocks that are missing, at the end the whole image. It writes
# nothing but blocks that the running slot has at the same place.
from hashlib import sha256
from micropython import const

from twoslot import codes, drop
from twoslot.flash import Flash
from twoslot.constants import (
    BLOCK, PIECE, STAGE_CHOICE, STAGE_DOWNLOAD, STAGE_REQUEST, STAGE_SPARE, STATE_ACTIVATE, STATE_DOWNLOAD,
    STATE_SCAN, STATE_TABLE, STATE_VERIFY, TABLE_ENTRY,
)  # fmt: skip
from twoslot.errors import ReleaseError

_READ = const(1024)  # bytes of flash at once: each call costs as much as the digest of 500 of them
_flash = Flash()
_piece = memoryview(bytearray(_READ))


def start(place, plan):
    """Return the progress of an image on its way into the spare slot, as a dict.

    place: of image and table.
    """
    blocks = (plan["length"] + BLOCK - 1) // BLOCK
    return {
        "pieces": None, "image": place[0], "table": place[1], "length": plan["length"],
        "blocks": blocks, "missing": bytearray((blocks + 7) // 8), "left": 0, "sha": None, "scans": 0,
        "tries": 0, "blank": False,
    }  # fmt: skip


def step(agent):
    """Scan the next piece: a stage of an update. True behind a block."""
    if agent.progress is None:
        agent.progress = start(agent.place, agent.plan)
    if agent.state == STATE_TABLE:
        return _scan_table(agent, agent.progress)
    (_scan_block if agent.state == STATE_SCAN else _verify_block)(agent, agent.progress)
    return True


def table_matches(progress, digest):
    """True when the slot holds the block table that has this digest."""
    sha = sha256()
    _hash(sha, progress["table"], progress["blocks"] * TABLE_ENTRY)
    return sha.digest() == digest


def check_block(progress, block):
    """Count the block as missing unless the slot holds it already."""
    sha = sha256()
    _hash(sha, progress["image"] + block * BLOCK, min(BLOCK, progress["length"] - block * BLOCK))
    _flash.read(progress["table"] + block * TABLE_ENTRY, _piece[:TABLE_ENTRY])
    bit = 1 << (block & 7)
    if sha.digest()[:TABLE_ENTRY] != _piece[:TABLE_ENTRY] and not progress["missing"][block >> 3] & bit:
        progress["missing"][block >> 3] |= bit
        progress["left"] += 1


def hash_block(progress, block, sha):
    """Add a block, as the flash holds it, to a digest."""
    _hash(sha, progress["image"] + block * BLOCK, min(BLOCK, progress["length"] - block * BLOCK))


def _scan_table(agent, progress):
    if table_matches(progress, agent.plan["blocks"]):
        agent.next, agent.state = 0, STATE_SCAN
        return
    # Before this table nobody erased a sector of this slot: what reads blank is no erase that was cut, and
    # need not be erased (power-cuts.md).
    piece = _piece[:PIECE]
    progress["blank"] = _flash.is_blank(progress["table"], progress["blocks"] * TABLE_ENTRY, piece) and (
        _flash.is_blank(progress["image"], BLOCK, piece))
    agent.url, agent.span, agent.stage = agent.plan["blocks_url"], (0, 0), STAGE_REQUEST


def _scan_block(agent, progress):
    # Blocks that are in place already need no download.
    block = agent.next
    check_block(progress, block)
    bit = 1 << (block & 7)
    if progress["missing"][block >> 3] & bit and _copy(agent.place, progress, block):
        progress["missing"][block >> 3] &= ~bit
        progress["left"] -= 1
        agent.written += 1
    agent.next += 1
    if agent.next == progress["blocks"]:
        agent.next = agent.until = 0
        agent.blocks_in_place = progress["blocks"] - progress["left"], progress["blocks"]
        agent.state = STATE_VERIFY
        if progress["left"]:
            agent.state, agent.stage = STATE_DOWNLOAD, STAGE_DOWNLOAD
            if agent.plan["ways"]:
                agent.stage = STAGE_CHOICE


def _copy(place, progress, block):
    # Copy the block from the running slot if it has it. True: it is in place. The running slot's block table
    # says only where to try.
    at, n = block * TABLE_ENTRY, min(BLOCK, progress["length"] - block * BLOCK)
    _flash.read(progress["table"] + at, _piece[:TABLE_ENTRY])
    _flash.read(place[3] + at, _piece[TABLE_ENTRY : 2 * TABLE_ENTRY])
    entry = bytes(_piece[:TABLE_ENTRY])
    if entry != _piece[TABLE_ENTRY : 2 * TABLE_ENTRY]:
        return False
    at = block * BLOCK
    for image in place[2], progress["image"]:
        if image != place[2]:
            if not progress["blank"] or not _flash.is_blank(image + at, BLOCK, _piece[:PIECE]):
                _flash.erase(image + at)
            for piece in range(at, at + n, _READ):
                view = _piece[: min(_READ, at + n - piece) + 3 & ~3]
                _flash.read(place[2] + piece, view)
                _flash.write(image + piece, view)
        sha = sha256()
        _hash(sha, image + at, n)
        if sha.digest()[:TABLE_ENTRY] != entry:
            return False
    return True


def _verify_block(agent, progress):
    # Add one block to the digest of the whole image; behind the last one, compare it.
    if agent.next == 0:
        progress["sha"] = sha256()
    hash_block(progress, agent.next, progress["sha"])
    agent.next += 1
    if agent.next < progress["blocks"]:
        return
    agent.next = 0
    if progress["sha"].digest() == agent.plan["sha256"]:
        if agent.source:
            agent.source.close(agent)
        agent.progress = agent.source = None
        agent.state, agent.stage = STATE_ACTIVATE, STAGE_SPARE
        drop("flash", "http")
        return
    # Some sector reads otherwise than when its block was checked: scan again, and download what
    # differs.
    progress["scans"] += 1
    if progress["scans"] > 2:
        raise ReleaseError(codes.IMAGE_MISMATCH, 0)
    agent.state = STATE_SCAN


def _hash(sha, addr, n):
    # flash_read stores whole words: the tail is read up to the next word.
    for at in range(0, n, _READ):
        whole = part = _piece  # of which no slices are made: a collection would follow every few of them
        if n - at < _READ:
            whole, part = _piece[: n - at + 3 & ~3], _piece[: n - at]
        _flash.read(addr + at, whole)
        sha.update(part)
