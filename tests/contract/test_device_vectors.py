"""The device package against the golden files: a board reads and writes what the bench's codec does."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slotbench.formats import maptable
from slotbench.formats.board_report import ReportEvent
from slotbench.vboard.flash.nor import PAGE, SECTOR
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, VECTORS, DeviceBoard, read_document, refusal, signing_key, trusted_keys
from support.device.control import loaders_word
from support.device.network import answer, ok
from support.device.site import HEAD, RELEASE
from support.device.policy import PolicyBench
from support.fuzz.application_patch_checks import OLD, PatchedFolder
from support.fuzz.patch_checks import NEW, PatchedBoard


def vectors(folder: str, suffix: str = ".bin") -> list[Any]:
    """The golden files of a folder; never none."""
    found = sorted((VECTORS / folder).glob(f"*{suffix}"))
    assert found, f"no golden files in {folder}"
    return [pytest.param(path, id=path.stem) for path in found]


def says(path: Path) -> Any:
    """What the file beside a golden one says."""
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture
def board() -> Iterator[DeviceBoard]:
    made = DeviceBoard()
    yield made
    made.close()


@pytest.fixture
def vm(board: DeviceBoard) -> CPythonVM:
    return board.start()


@pytest.fixture
def port(vm: CPythonVM) -> Any:
    return vm.import_("twoslot.flash").Flash()


@pytest.fixture
def slots(vm: CPythonVM, port: Any) -> Any:
    return vm.import_("twoslot.boot.slots").Slots(port)


@pytest.mark.parametrize("path", vectors("cells"))
def test_cells(vm: CPythonVM, path: Path) -> None:
    page, expected = bytearray(path.read_bytes()), says(path)["cell"]
    module = vm.import_("twoslot.boot.journal")
    cell = module.Cell(page)

    assert vm.import_("twoslot.boot.page").is_valid(page, b"2SJ2")
    for name in (
        "sequence", "active", "attempts", "copies", "report", "floor", "bad_counter",
        "unproven_counter", "head_seq", "head_time", "key_epoch", "channel_tag", "report_counter",
        "confirmed", "reached",
    ):
        assert getattr(cell, name) == expected[name], name
    assert cell.rounds == expected["rounds"] + 256 * expected["never_reached"]
    for slot, letter in enumerate("ab"):
        assert cell.states[slot] == expected[f"state_{letter}"]
        assert cell.counters[slot] == expected[f"counter_{letter}"]
        assert cell.bad[slot] == expected[f"bad_{letter}"]
    assert (cell.spent, cell.copied) == (sum(expected["spent"]), sum(expected["copied"]))
    assert (cell.keys or bytes(16)).hex() == expected["keys_digest"]
    others = struct.pack("<6I", *(number for pair in expected["other_channels"] for number in pair))
    assert cell.others == (others if any(others) else b"")
    assert cell.ended == [word if word < 256 else 1 for word in expected["ended"] if word is not None]
    assert bytes(cell.pack()) == bytes(page[:128]), "the sealed half comes back differently"


@pytest.mark.parametrize("path", vectors("regions"))
def test_regions(board: DeviceBoard, vm: CPythonVM, port: Any, path: Path) -> None:
    region, expected = path.read_bytes(), says(path)
    board.flash.poke(BOARD.journal.start, region)
    module, pages = vm.import_("twoslot.boot.journal"), vm.import_("twoslot.boot.page")
    for index, state in enumerate(expected["pages"]):
        page = bytearray(region[index * PAGE : (index + 1) * PAGE])
        read = "valid" if pages.is_valid(page, b"2SJ2") else "blank" if pages.is_blank(page) else "garbage"
        assert read == state, f"page {index}"

    journal = module.Journal(port, BOARD.journal.start)
    journal.load()
    newest, place = expected["newest"], expected["next"] or {"index": 0, "sequence": 1}
    if newest is None:
        assert journal.cell is None
    else:
        assert (journal.at, journal.cell.sequence) == (newest["index"], newest["sequence"])
    board.flash.reset_counters()
    journal.append(journal.cell or module.Cell())

    assert (journal.at, journal.cell.sequence) == (place["index"], place["sequence"])
    sectors = [0, 1] if newest is None else [] if place["erase"] is None else [place["erase"]]
    assert sorted(board.erased()) == [BOARD.journal.start + SECTOR * sector for sector in sectors]


@pytest.mark.parametrize("path", vectors("descriptors"))
def test_descriptors(board: DeviceBoard, vm: CPythonVM, slots: Any, path: Path) -> None:
    page, expected = path.read_bytes(), {"twoslot": 0, **says(path)}
    slot = expected["slot"]
    place = BOARD.slots[slot].descriptor.start
    board.flash.poke(place, page)
    read = slots.read(slot)

    expected["sha256"] = bytes.fromhex(expected["sha256"])
    assert {name: getattr(read, name) for name in expected} == expected

    board.flash.poke(place, b"\xff" * PAGE)
    vm.import_("twoslot.boot.spare").write_descriptor(slots, slot, expected["product"], expected)
    assert board.flash.peek(place, 128) == page[:128], "the sealed half is written differently"
    if expected["confirmed"]:
        slots.confirm(slot)
        assert board.flash.peek(place + 128, 4) == page[128:132]


@pytest.mark.parametrize("path", vectors("windowlogs"))
def test_window_logs(board: DeviceBoard, vm: CPythonVM, slots: Any, path: Path) -> None:
    board.flash.poke(BOARD.window_log.start, path.read_bytes())
    board.flash.reset_counters()
    vm.import_("twoslot.boot.window_log").tidy(slots)

    assert board.erased() == ([BOARD.window_log.start] if says(path)["needs_erase"] else [])


@pytest.mark.parametrize("path", vectors("maps"))
def test_map_tables(board: DeviceBoard, vm: CPythonVM, port: Any, path: Path) -> None:
    board.flash.poke(maptable.OFFSET, path.read_bytes())
    numbers, slots = says(path), vm.import_("twoslot.boot.slots").Slots
    if numbers is None:
        with refusal(vm, "FlashError", 73, maptable.OFFSET):
            slots(port)
        return
    port.size = numbers[12]
    found = slots(port)
    assert [found.journal, found.log, found.size, found.fs_start] == [numbers[i] for i in (0, 1, 8, 11)]
    assert (*found.tables, *found.descriptors, *found.images) == (
        numbers[2], numbers[4], numbers[3], numbers[5], numbers[6], numbers[7])


@pytest.mark.parametrize("path", vectors("rtc"))
def test_rtc_tails(board: DeviceBoard, vm: CPythonVM, path: Path) -> None:
    board.leave_tail(path.read_bytes())
    tail, expected = loaders_word(vm), says(path)

    if expected is None:
        assert tail is None
        return
    assert tail is not None
    for place, name in enumerate(("slot", "trial", "attempts_left", "why"), start=4):
        assert tail[place] == expected[name], name
    assert (tail[12], tail[24]) == (expected["reset_reason"] & 0xFF, expected["note"] & 0xFF)


def test_the_image_and_its_block_table(board: DeviceBoard, vm: CPythonVM) -> None:
    path = VECTORS / "images" / "firmware.bin"
    image, table, expected = path.read_bytes(), path.with_suffix(".blocks").read_bytes(), says(path)
    writer, scan, slot = vm.import_("twoslot.image.writer"), vm.import_("twoslot.image.scan"), BOARD.slots[1]
    w = scan.start((slot.image.start, slot.table.start), {"length": len(image)})
    writer.allocate(w, SECTOR)

    def load(data: bytes) -> None:
        for piece in writer.views(w, len(data)):
            piece[:], data = data[: len(piece)], data[len(piece) :]

    load(table)
    assert writer.digest(w, len(table)) == bytes.fromhex(expected["blocks_sha256"])
    writer.write(w, w["table"], len(table))
    for block in range(w["blocks"]):
        scan.check_block(w, block)
    blank = [image[at : at + SECTOR] == b"\xff" * SECTOR for at in range(0, len(image), SECTOR)]
    assert w["blocks"] == len(expected["blocks"]) and w["left"] == blank.count(False)
    read = hashlib.sha256()
    for block in range(w["blocks"]):
        if writer.is_missing(w, block):
            load(image[block * SECTOR : (block + 1) * SECTOR])
            writer.write_block(w, block)
        scan.hash_block(w, block, read)

    assert read.hexdigest() == expected["sha256"]
    assert board.flash.peek(slot.image.start, len(image)) == image


def test_the_documents_that_belong_together(board: DeviceBoard, vm: CPythonVM) -> None:
    folder = VECTORS / "documents"
    texts = {kind: (folder / f"{kind}.{kind}").read_bytes() for kind in ("release", "head", "keys")}
    board.files["/twoslot.keys"] = texts["keys"]
    product = json.loads(texts["keys"].split(b"\n")[0])["product"]
    for role in ("offline", "online"):
        assert trusted_keys(vm, role, product=product)[:2] == (1, [signing_key(role).modulus])

    for kind in ("release", "head", "keys"):
        expected = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
        fields, digest, epoch = read_document(vm, texts[kind], kind, product)
        assert (fields, digest.hex(), epoch) == (expected["fields"], expected["digest"], 1)
    fields = json.loads((folder / "release.json").read_text(encoding="utf-8"))["fields"]
    policy_bench = PolicyBench(vm)
    policy_bench.settings.update(product=fields["product"], channel="stable", cohort="lab")
    policy_bench.facts["time"], policy_bench.now = 0, fields["created"]
    head = policy_bench.check_head(texts["head"])
    policy_bench.check_rollout(head)
    plan = policy_bench.check_release(texts["release"], head)
    image = fields["images"]["any"]
    assert all(plan[name] == fields[name] for name in ("counter", "version", "floor"))
    assert all(plan[name] == image[name] for name in ("url", "length", "blocks_url"))
    assert (plan["sha256"].hex(), plan["blocks"].hex()) == (image["sha256"], image["blocks"])


def test_the_longest_head_is_taken(vm: CPythonVM) -> None:
    path = VECTORS / "documents" / "longest.head"
    text, client = path.read_bytes(), answer(ok(path.read_bytes()))
    client.get()
    agent = SimpleNamespace(state=HEAD, key_epoch=0, text=None)
    client.vm.import_("twoslot.http.documents")._begin(agent, client.response)
    assert len(agent.text) == len(text) == 1536

    fields, digest, _ = PolicyBench(vm).read_payload(text, "head")
    assert (fields, digest.hex()) == (says(path)["fields"], says(path)["digest"])


@pytest.mark.parametrize("path", vectors("tampered"))
def test_tampered_documents_are_refused(vm: CPythonVM, path: Path) -> None:
    text, expected = path.read_bytes(), says(path)
    kind = expected["offered_as"]
    if 9 in expected["codes"]:
        client = answer(ok(text))
        client.get()
        agent = SimpleNamespace(state=HEAD if kind == "head" else RELEASE, key_epoch=0)
        with refusal(client.vm, "LinkError", 9, len(text)):
            client.vm.import_("twoslot.http.documents")._begin(agent, client.response)
        return
    policy_bench = PolicyBench(vm)
    with pytest.raises(vm.import_("twoslot.errors").ReleaseError) as caught:
        policy_bench.read_payload(text, kind)
    assert caught.value.args[0] in expected["codes"]


def test_places_in_a_rollout(vm: CPythonVM) -> None:
    expected = json.loads((VECTORS / "rollout.json").read_text(encoding="utf-8"))
    policy_bench = PolicyBench(vm)
    head = {"counter": 7, "paused": False, "cohorts": [], "release": bytes.fromhex(expected["release"])}
    assert expected["places"]
    for device_id, place in expected["places"].items():
        policy_bench.device_id = device_id
        head["percent"] = place
        with refusal(vm, "ReleaseError", 39, place):
            policy_bench.check_rollout(head)
        head["percent"] = place + 1
        policy_bench.check_rollout(head)


def test_channel_tags(vm: CPythonVM) -> None:
    expected = json.loads((VECTORS / "rollout.json").read_text(encoding="utf-8"))["channel_tags"]
    tag = vm.import_("twoslot.trust.policy").channel_tag

    assert expected == {name: tag(*name.split("/")) for name in expected}


@pytest.mark.parametrize(("name", "code"), [("both", None), ("app_alone", 28)])
def test_a_twoslot_without_applications_goes_on_with_the_firmware(
    vm: CPythonVM, name: str, code: int | None,
) -> None:
    """A head's `app` is a field that it does not know; a head with an application alone offers counter 0."""
    path = VECTORS / "documents" / f"{name}.head"
    fields = says(path)["fields"]
    policy_bench = PolicyBench(vm)
    policy_bench.settings.update(product=fields["product"], channel="stable", cohort="lab")
    policy_bench.facts["time"], policy_bench.now = 0, fields["issued"]

    head = policy_bench.check_head(path.read_bytes())

    if code:
        with refusal(vm, "ReleaseError", code, 0):
            policy_bench.check_rollout(head)
    else:
        policy_bench.check_rollout(head)


@pytest.mark.parametrize("path", vectors("heads", ".line"))
def test_heads_field_by_field(vm: CPythonVM, path: Path) -> None:
    """Every field, missing and wrong; and whom a head without any percentage includes."""
    line, expected = path.read_bytes(), says(path)
    errors, policy_bench = vm.import_("twoslot.errors"), PolicyBench(vm)
    policy_bench.settings.update(product="greenhouse")
    policy_bench.facts.update(time=0, tag=0)

    def check(device_id: str, cohort: str | None) -> int:
        policy_bench.device_id = policy_bench.settings["device_id"] = device_id
        policy_bench.settings.update(cohort=cohort)
        try:
            fields = vm.import_("twoslot.trust.document").payload(line + bytes(531), "head")
            head = policy_bench.policy.check_head(fields, 1, policy_bench.settings, policy_bench.facts, 1_750_000_200)
            if "includes" in expected:
                policy_bench.check_rollout(head)
        except errors.ReleaseError as e:
            return int(e.args[0])
        return 0

    for device_id, cohort, included in expected.get("includes", [["lamp-7", "lab", False]]):
        paused = json.loads(line).get("paused") is True
        code = expected["board"] or ("includes" in expected and (40 if paused else 0 if included else 39))
        assert check(device_id, cohort) == code, (device_id, cohort)


def taken_with(vm: CPythonVM, check: Any) -> int:
    """The code with which a document is refused; 0: it is taken."""
    try:
        check()
    except vm.import_("twoslot.errors").ReleaseError as e:
        return int(e.args[0])
    return 0


@pytest.mark.parametrize("path", vectors("releases", ".line"))
def test_releases_field_by_field(vm: CPythonVM, path: Path) -> None:
    line, policy_bench = path.read_bytes(), PolicyBench(vm)
    policy_bench.settings.update(product="greenhouse")
    digest = hashlib.sha256(line).digest()

    def check() -> None:
        fields = vm.import_("twoslot.trust.document").payload(line + bytes(531), "release")
        policy_bench.policy.check_release(
            fields, digest, {"release": digest, "counter": 7}, policy_bench.settings, policy_bench.facts)

    assert taken_with(vm, check) == says(path)["board"]


@pytest.mark.parametrize("path", vectors("programs", ".line"))
def test_applications_field_by_field(vm: CPythonVM, path: Path) -> None:
    """On a board that runs firmware 7 and data 2, with `.mpy` version 6."""
    line, digest = path.read_bytes(), hashlib.sha256(path.read_bytes()).digest()
    facts = {"data": 2, "folder": "/app_b", "running": "/app_a", "low": 0, "high": 0}
    agent = SimpleNamespace(
        head={"app": digest, "app_counter": 11, "counter": 7, "next": None}, plan=None, download=True,
        facts={"app": facts, "counter": 7, "size": 0}, seal=None)
    settings = {"product": "greenhouse", "board": "generic_4m", "channel": "stable"}

    def check() -> None:
        fields = vm.import_("twoslot.trust.document").payload(line + bytes(531), "application")
        agent.seal = fields, digest, 1
        vm.import_("twoslot.application.document").apply(agent, settings)

    assert taken_with(vm, check) == says(path)["board"]


@pytest.mark.parametrize("path", vectors("identity", ".json"))
def test_identity_headers(vm: CPythonVM, path: Path) -> None:
    expected = says(path)
    app = expected["app"] and "/".join(map(str, expected["app"]))
    who = {
        "id": expected["id"], "nonce": None, "nc": expected["nc"] - 1, "key": bytes.fromhex(expected["secret"]),
        "told": ("{}/{}".format(*expected["report"]), str(expected["running"]), app)}
    authorization = vm.import_("twoslot.http.identity").authorization
    asked = who, expected["host"], expected["path"], expected["body"].encode()

    assert authorization(*asked) == f"Authorization: {expected['first_header']}\r\n"
    who["nonce"] = expected["nonce"]
    assert authorization(*asked) == f"Authorization: {expected['header']}\r\n"


@pytest.mark.parametrize("path", vectors("reports", ".body"))
def test_reports(board: DeviceBoard, vm: CPythonVM, path: Path) -> None:
    """A board writes what the bench reads, and nothing that the bench refuses."""
    body, expected = path.read_bytes(), says(path)
    if expected is None or not expected.get("board") and expected["event"] != ReportEvent.DOWNLOAD:
        return  # refused, or of an older twoslot
    vm.import_("machine").reset_cause = lambda: expected["reset"]
    vm.import_("gc").mem_free = lambda: expected["free"]
    vm.import_("network").WLAN = lambda interface: SimpleNamespace(status=lambda what: expected["rssi"])
    board.files["/twoslot.why"] = expected["trace"].encode()
    if not expected["trace"]:
        del board.files["/twoslot.why"]
    state = [None] * 12
    state[:5] = expected["start"], expected["number"] - 1, expected["event"], expected["code"], expected["where"]
    plan = {"counter": expected["counter"]} if expected["counter"] else None
    facts = {"size": expected.get("slot") is not None, "slot": expected.get("slot"), "spare": expected.get("spare")}
    agent = SimpleNamespace(plan=plan, blocks_in_place=(expected["done"], expected["blocks"]), facts=facts)

    assert vm.import_("twoslot.http.report")._compose(agent, state, expected.get("board", "d1_mini")) == body
    assert state[:5] == [expected["start"], expected["number"], 0, 0, 0]


@pytest.mark.parametrize("path", vectors("patches", ".patch"))
def test_patches(board: DeviceBoard, vm: CPythonVM, path: Path) -> None:
    """What must be refused counts no block as there that is not the release's, and ends within 100 steps."""
    made = PatchedBoard(board, vm, path.read_bytes(), whole=path.stem == "whole")
    right = says(path)["sha256"] is not None

    assert made.make() == right and (made.agent.plan["ways"] != 0) == right
    assert made.agent.stage == ("twoslot.image.scan" if right else "twoslot.patch.choice")
    assert not right or made.image() == NEW
    assert [code for _, code, _ in vm.import_("twoslot")._log] == ([] if right else [50])


@pytest.mark.parametrize("path", vectors("lists", ".list"))
def test_file_lists(vm: CPythonVM, path: Path) -> None:
    """A board reads a list in pieces, and names the first line that breaks a rule."""
    text, expected = path.read_bytes(), says(path)
    entries: list[tuple[str, int, str]] = []
    module = vm.import_("twoslot.application.listing")
    progress = vm.import_("twoslot.application.progress")
    entry = vm.import_("twoslot.application.file_list").parse
    if expected["wrong_line"] == 0:
        previous = b""
        for line in text.splitlines():
            digest, length, name = entry(line, previous)
            entries.append((name.decode(), length, digest.decode()))
            previous = name
        assert entries == [(each["path"], each["length"], each["sha256"]) for each in expected["files"]]

    plan = {
        "list": hashlib.sha256(text).digest(), "list_length": len(text), "pack": False, "files": text.count(b"\n"),
        "length": sum(each["length"] for each in expected["files"]), "folder": "/app_a"}
    agent: Any = SimpleNamespace(plan=plan, progress=None, response=Body(text), views=None, waiting=False)
    agent.source = SimpleNamespace(close=lambda agent: None)
    progress.restart(progress.begin(agent), len(text))
    vm.import_("os").statvfs = lambda path: (4096, 4096, 9999, 9999)

    def read() -> None:
        while agent.progress is not None:
            module.step(agent)

    if expected["wrong_line"]:
        with refusal(vm, "ReleaseError", 82, max(expected["wrong_line"], 0)):
            read()
    else:
        read()
        assert agent.stage == "twoslot.application.preparation"


class Body:
    """A response that has all of its body."""

    def __init__(self, data: bytes) -> None:
        self._data, self.got = data, 0

    def wait_ms(self, size: int = 0) -> None:
        self.got = 0

    def fill(self, views: tuple[memoryview, ...]) -> bool:
        piece, self._data = self._data[: len(views[0])], self._data[len(views[0]) :]
        views[0][: len(piece)] = piece
        self.got = len(piece)
        return True


@pytest.mark.parametrize("path", vectors("applications"))
def test_application_records(board: DeviceBoard, vm: CPythonVM, path: Path) -> None:
    expected, module = says(path), vm.import_("twoslot.application.record")
    board.files["/twoslot.app0"] = path.read_bytes()
    record = module.load()

    if expected is None:
        assert record[1:] == [0, 2, *[0] * 22, bytes(7), bytes(7), 0, 0, 0, 0, 0, 0, bytes(16), 0, 0]
        return
    a, b = expected["folders"]
    assert [each.hex() if isinstance(each, bytes) else each for each in record[1:]] == [
        expected["sequence"], expected["active"], a["state"], b["state"], expected["attempts"],
        expected["report"], expected["rounds"], expected["under_way"], expected["ended"], a["counter"],
        b["counter"], expected["floor"], expected["bad_counter"], expected["unproven_counter"],
        expected["report_counter"], a["firmware_low"], a["firmware_high"], b["firmware_low"],
        b["firmware_high"], a["mpy_abi"], b["mpy_abi"], a["data"], b["data"], expected["data"],
        a["list_digest"], b["list_digest"], expected["twoslot_pack"], expected["twoslot_starts"], expected["head_seq"], expected["head_time"], expected["key_epoch"],
        expected["channel_tag"], expected["keys_digest"], expected["with_firmware"], expected["next_floor"]]
    record[1] -= 1  # save() counts
    if expected["sequence"] < 2**32 - 1:
        module.save(record)
        assert board.files[f"/twoslot.app{expected['sequence'] % 2}"] == path.read_bytes()


@pytest.mark.parametrize("path", vectors("application_patches", ".files"))
def test_application_patches(board: DeviceBoard, vm: CPythonVM, path: Path) -> None:
    """What a patch has that makes other files than those of the list is refused at the first of them."""
    made = PatchedFolder(board, vm, path.read_bytes(), {} if path.stem == "from_nothing" else OLD)
    expected = says(path)

    codes = made.make()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in made.right().items()}
    assert (codes, digests) == (([], expected) if expected is not None else ([50], {}))
