"""twoslot.trust.policy: an offer with one wrong field is refused with the code of that field."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotbench.formats.head import Head
from slotbench.formats.journal import channel_tag
from slotbench.vboard.frozen import twoslot as frozen_twoslot
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, CHANNEL, NOW, PRODUCT, RUNNING, DeviceBoard, firmware
from support.device.policy import TAG, PolicyBench
from support.device.release import COUNTER, head_fields, image_changes, offer, payload, release_fields
from support.sampling import examples

DAY = 86400


@pytest.fixture
def policy_bench(shared_vm: CPythonVM) -> PolicyBench:
    return PolicyBench(shared_vm)


@pytest.fixture
def frozen_bench(board: DeviceBoard) -> PolicyBench:
    """The same with twoslot in the firmware, and none on the filesystem."""
    for path in [path for path in board.files if path.startswith("/twoslot/")]:
        del board.files[path]
    return PolicyBench(board.start(frozen=frozen_twoslot()))


def test_a_right_offer_is_accepted_with_the_fields_of_the_descriptor(policy_bench: PolicyBench) -> None:
    plan = policy_bench.check_offer(offer())

    fields = release_fields()
    image = fields["images"]["any"]
    assert plan == {
        "counter": COUNTER, "version": "2.0.0", "floor": 3, "fs_start": BOARD.fs_start, "fs_version": 0x00020001,
        "mpy_abi": 6, "twoslot": 0, "created": fields["created"], "url": image["url"], "length": len(firmware(2)), "form": 1,
        "blocks_url": image["blocks_url"], "sha256": bytes.fromhex(image["sha256"]),
        "blocks": bytes.fromhex(image["blocks"]), "ways": 0}


NEVER_LIFTED = [
    (25, 0, {}, {"product": "other"}), (25, 0, {"product": "other"}, {}),
    (26, 0, {"boards": ["d1_mini"]}, {}), (26, 0, {"boards": []}, {}),
    (27, 0, {}, {"channel": "beta"}), (27, 0, {"channels": ["beta"]}, {}),
    (28, RUNNING, {"counter": RUNNING, "floor": 0}, {"counter": RUNNING}),
    (28, 1, {"counter": 1, "floor": 0}, {"counter": 1}),
    (31, 0x90000, {"fs_start": 0x90000}, {}),
    (33, 0x00020002, {"fs_version": 0x00020002}, {}),
    (34, NOW + 59, {}, {"expires": NOW + 59}),
    (35, 10, {}, {"seq": 10}),
    (36, BOARD.slot_bytes + 1, {"images": image_changes(length=BOARD.slot_bytes + 1)}, {}),
    (36, 0, {"images": image_changes(length=0)}, {}),
    (37, 0, {}, {"release": "00" * 32}), (20, 0, {}, {"release": "00" * 31}),
    (37, 7, {"counter": 7}, {"counter": 6}),
    (38, 1, {"images": {"a": release_fields()["images"]["any"]}}, {}),
    (42, 2, {}, {"epoch": 2}), (42, 0, {}, {"epoch": 0}),
]


@pytest.mark.parametrize(("code", "where", "release", "head"), NEVER_LIFTED)
@pytest.mark.parametrize("force", [False, True])
def test_one_wrong_field_is_refused_also_with_force(
    policy_bench: PolicyBench, code: int, where: int, release: dict[str, Any], head: dict[str, Any], force: bool,
) -> None:
    policy_bench.force = force
    policy_bench.require_refusal(offer(release, head), code, where)


@pytest.mark.parametrize("force", [False, True])
def test_a_counter_below_the_floor_is_refused(policy_bench: PolicyBench, force: bool) -> None:
    policy_bench.force, policy_bench.facts["floor"] = force, COUNTER + 1
    policy_bench.require_refusal(offer(), 29, COUNTER)

    policy_bench.facts["floor"] = COUNTER
    assert policy_bench.check_offer(offer())


def test_what_force_lifts(policy_bench: PolicyBench) -> None:
    """Bad mark, trials used up, pause and percent, each alone and all together."""
    lifted: list[tuple[int, int, dict[str, int], dict[str, Any]]] = [
        (30, COUNTER, {"bad": COUNTER}, {}), (30, COUNTER, {"bad": COUNTER + 1}, {}),
        (47, COUNTER, {"unproven": COUNTER, "rounds": 257}, {}), (47, COUNTER, {"unproven": COUNTER, "rounds": 260}, {}),
        (41, 4, {"unproven": COUNTER, "rounds": 4}, {}), (41, 9, {"unproven": COUNTER, "rounds": 9}, {}),
        (30, COUNTER, {"bad": COUNTER, "unproven": COUNTER, "rounds": 4}, {}),
        (40, 0, {}, {"paused": True}), (39, 0, {}, {"percent": 0}),
        (30, COUNTER, {"bad": COUNTER}, {"paused": True, "percent": 0}),
    ]
    for code, where, facts, head in lifted:
        policy_bench.facts.update({"bad": 0, "unproven": 0, "rounds": 0, **facts})
        policy_bench.force = False
        policy_bench.require_refusal(offer(head=head), code, where)
        policy_bench.force = True
        assert policy_bench.check_offer(offer(head=head)), f"force must lift {code}"


def test_an_unproven_release_is_tried_again(policy_bench: PolicyBench) -> None:
    policy_bench.facts.update({"unproven": COUNTER, "rounds": 3, "bad": COUNTER - 1})

    assert policy_bench.check_offer(offer())


def test_trials_of_another_release_hold_this_one_up_in_no_way(policy_bench: PolicyBench) -> None:
    for rounds in (4, 257):
        policy_bench.facts.update({"unproven": COUNTER - 1, "rounds": rounds})
        assert policy_bench.check_offer(offer())


@pytest.mark.parametrize("place", range(3))
def test_a_head_of_a_channel_that_the_board_left_is_no_older_than_it_saw_there(
    policy_bench: PolicyBench, place: int,
) -> None:
    seen = [(TAG ^ 1, 99), (TAG ^ 2, 99), (TAG ^ 3, 99)]
    policy_bench.facts["tag"] = TAG ^ 4
    for seq, is_old in ((12, False), (13, True)):
        seen[place] = TAG, seq
        policy_bench.facts["others"] = b"".join(struct.pack("<II", *each) for each in seen)
        if is_old:
            policy_bench.require_refusal(offer(), 35, 12)
        else:
            assert policy_bench.check_offer(offer())


def test_a_release_without_proof_is_tried_again_after_three_days(policy_bench: PolicyBench) -> None:
    """Whatever prevented the proof may be over."""
    policy_bench.facts.update({"unproven": COUNTER, "rounds": 4})
    for days in (1, 1, 0.99):
        policy_bench.require_refusal(offer(), 41, 4)
        policy_bench.vm.runtime.clock.advance_ms(int(days * 86_400_000))
    policy_bench.vm.runtime.clock.advance_ms(900_000)
    assert policy_bench.check_offer(offer())


def test_the_other_slots_image_is_taken_when_there_is_one_for_each(policy_bench: PolicyBench) -> None:
    any_image = release_fields()["images"]["any"]
    images = {"a": {**any_image, "form": 2}, "b": {**any_image, "url": "images/b.bin"}}

    policy_bench.facts["slot"] = 1
    assert policy_bench.check_offer(offer({"images": images}))["form"] == 2
    policy_bench.facts["slot"] = 0
    assert policy_bench.check_offer(offer({"images": images}))["url"] == "images/b.bin"


# What the installed twoslot and the fallback's filesystem can do.


@pytest.mark.parametrize(("installed", "code"), [(6, None), (5, 32), (0, None), (None, None)])
def test_the_mpy_version_must_fit_a_compiled_twoslot(
    policy_bench: PolicyBench, installed: int | None, code: int | None,
) -> None:
    if installed is not None:
        policy_bench.settings["mpy_abi"] = installed
    if code is None:
        assert policy_bench.check_offer(offer())
    else:
        policy_bench.require_refusal(offer(), code, 6)


@pytest.mark.parametrize(("twoslot", "files", "frozen"), [
    (0x010400, None, None), (1, None, None), (0, None, 49), (None, None, 49), (-1, 20, 20), ("1.4", 20, 20)])
def test_a_board_whose_twoslot_is_only_frozen_takes_no_release_without_it(
    policy_bench: PolicyBench, frozen_bench: PolicyBench, twoslot: object, files: int | None, frozen: int | None,
) -> None:
    changes = {} if twoslot is None else {"twoslot": twoslot}
    for bench, code in ((policy_bench, files), (frozen_bench, frozen)):
        if code is None:
            plan = bench.check_offer(offer(changes))
            assert plan["twoslot"] == (twoslot or 0)
        else:
            bench.require_refusal(offer(changes), code, 0)


def test_the_mpy_version_is_nothing_to_a_frozen_twoslot(frozen_bench: PolicyBench) -> None:
    frozen_bench.settings["mpy_abi"] = 5
    assert frozen_bench.check_offer(offer({"twoslot": 0x100}))["mpy_abi"] == 6


@pytest.mark.parametrize(
    ("release", "taken"),
    [
        ({"fs_version": 0x00020000}, True), ({"fs_version": 0x00020001}, True),
        ({"fs_version": 0x00020002}, False), ({"fs_version": 0x00020002, "fs_upgrade": True}, True),
    ])
def test_a_newer_filesystem_must_be_intended(policy_bench: PolicyBench, release: dict[str, Any], taken: bool) -> None:
    if taken:
        assert policy_bench.check_offer(offer(release))
    else:
        policy_bench.require_refusal(offer(release), 33, 0x00020002)


# Heads and time.


def test_the_same_head_may_be_seen_again(policy_bench: PolicyBench) -> None:
    policy_bench.facts["seq"] = 12
    assert policy_bench.check_head(offer().head)["seq"] == 12


def test_another_epoch_counts_its_heads_afresh(policy_bench: PolicyBench) -> None:
    """seq and the clock's lower bound belong to one key epoch."""
    policy_bench.facts["epoch"] = 99
    policy_bench.facts["time"], policy_bench.now = NOW + 90 * DAY, 0
    assert policy_bench.check_head(offer(head={"seq": 1}).head)["seq"] == 1


def test_another_channel_counts_its_own_heads(policy_bench: PolicyBench) -> None:
    """The lower bound of the time is that of all channels."""
    policy_bench.facts["tag"], policy_bench.now = 99, 0
    assert policy_bench.check_head(offer(head={"seq": 1}).head)["seq"] == 1
    policy_bench.facts["time"] = NOW + 90 * DAY
    policy_bench.require_refusal(offer(head={"seq": 1}), 34)


@pytest.mark.parametrize(
    ("now", "seen", "expires", "believed"),
    [
        (NOW, NOW - DAY, NOW, True), (NOW, NOW - DAY, NOW - 1, False),
        (0, NOW, NOW, True), (0, NOW, NOW - 1, False), (0, 0, 1, True),
        (NOW - DAY, NOW, NOW - 1, False),
    ],
    ids=[
        "clock: last second", "clock: over", "no clock: as late as the last head", "no clock: before it",
        "no clock, no head yet", "a clock that is behind the last head",
    ],
)
def test_an_expired_head_is_refused_as_far_as_the_board_can_tell(
    policy_bench: PolicyBench, now: int, seen: int, expires: int, believed: bool,
) -> None:
    policy_bench.now, policy_bench.facts["time"] = now, seen
    offered = offer(head={"expires": expires})
    if believed:
        assert policy_bench.check_head(offered.head)["expires"] == expires
    else:
        policy_bench.require_refusal(offered, 34, expires)


def test_a_head_is_a_dict_of_values(policy_bench: PolicyBench) -> None:
    """An object of a class would keep the whole module on the heap."""
    fields = release_head()
    names = ("counter", "seq", "epoch", "issued", "percent", "expires", "paused", "cohorts")

    assert policy_bench.check_head(offer().head) == {
        **{name: fields[name] for name in names}, "tag": TAG, "release": bytes.fromhex(fields["release"]),
        "interval_s": 0, "app": b"", "app_counter": 0}


def test_a_head_may_say_how_often_to_check(policy_bench: PolicyBench) -> None:
    assert policy_bench.check_head(offer(head={"interval_s": 900}).head)["interval_s"] == 900
    for wrong in ("900", -1, 1 << 31, None, 1.5):
        policy_bench.require_refusal(offer(head={"interval_s": wrong}), 20, 0)


def test_the_channel_tag_is_the_benchs(policy_bench: PolicyBench) -> None:
    for product, channel in ((PRODUCT, CHANNEL), ("a", "b"), ("caf\u00e9", "beta")):
        assert policy_bench.policy.channel_tag(product, channel) == channel_tag(product, channel)


# Rollout.


def host_head(**changes: Any) -> Head:
    fields = {**release_head(), **changes}
    return Head(**{name: fields[name] for name in Head.__dataclass_fields__ if name in fields})


def release_head() -> dict[str, Any]:
    return head_fields(payload(release_fields()))


@given(device_id=st.text(min_size=1, max_size=64), percent=st.integers(0, 100))
@examples(60)
def test_device_and_bench_include_the_same_boards(
    shared_vm: CPythonVM, device_id: str, percent: int,
) -> None:
    policy_bench = PolicyBench(shared_vm)
    policy_bench.device_id = device_id
    head = policy_bench.check_head(offer().head)
    head["percent"] = percent

    if host_head(percent=percent).includes(device_id):
        policy_bench.check_rollout(head)
    else:
        with pytest.raises(policy_bench.vm.import_("twoslot.errors").ReleaseError) as caught:
            policy_bench.check_rollout(head)
        assert caught.value.args == (39, percent)


def test_a_rollout_spreads_over_the_boards_and_only_grows(policy_bench: PolicyBench) -> None:
    head = policy_bench.check_head(offer().head)
    refused = policy_bench.vm.import_("twoslot.errors").ReleaseError

    def takers(percent: int) -> set[int]:
        head["percent"] = percent
        found = set()
        for number in range(1000):
            policy_bench.device_id = f"{number:08x}"
            try:
                policy_bench.check_rollout(head)
            except refused:
                continue
            found.add(number)
        return found

    shares = [takers(percent) for percent in (0, 10, 50, 100)]
    assert not shares[0] and len(shares[3]) == 1000
    assert shares[1] < shares[2], "an included board was removed when the rollout grew"
    assert 70 < len(shares[1]) < 130 and 450 < len(shares[2]) < 550, [len(share) for share in shares]


def test_a_listed_device_is_included_at_any_percent(policy_bench: PolicyBench) -> None:
    """All other rules hold for it: pause, floor, bad mark, counter, names."""
    listed = {"percent": 0, "devices": ["lamp-7"]}
    policy_bench.require_refusal(offer(head=listed), 39, 0)
    policy_bench.device_id = policy_bench.settings["device_id"] = "lamp-7"
    assert policy_bench.check_offer(offer(head=listed))

    policy_bench.require_refusal(offer(head={**listed, "paused": True}), 40, 0)
    policy_bench.require_refusal(offer({"boards": ["d1_mini"]}, listed), 26, 0)
    policy_bench.require_refusal(offer({"counter": RUNNING, "floor": 0}, {**listed, "counter": RUNNING}), 28, RUNNING)
    for name, code in (("bad", 30), ("floor", 29)):
        policy_bench.facts[name] = COUNTER + (name == "floor")
        policy_bench.require_refusal(offer(head=listed), code, COUNTER)
        policy_bench.facts[name] = 0


def test_a_board_without_a_device_id_is_listed_by_its_chip(policy_bench: PolicyBench) -> None:
    chip = policy_bench.vm.import_("machine").unique_id().hex()
    policy_bench.device_id = chip
    assert policy_bench.check_offer(offer(head={"percent": 0, "devices": ["lamp-7", chip]}))


@pytest.mark.parametrize(
    ("own", "listed", "taken"),
    [
        ("early", ["early", "lab"], True), ("early", ["lab"], False), (None, ["early"], False),
        ("earl", ["early"], False), ("early", [], False),
    ])
def test_a_listed_cohort_is_included_at_any_percent(
    policy_bench: PolicyBench, own: str | None, listed: list[str], taken: bool,
) -> None:
    if own is not None:
        policy_bench.settings["cohort"] = own
    offered = offer(head={"percent": 0, "cohorts": listed})
    if taken:
        assert policy_bench.check_offer(offered)
        policy_bench.require_refusal(offer(head={"percent": 0, "cohorts": listed, "paused": True}), 40, 0)
    else:
        policy_bench.require_refusal(offered, 39, 0)
