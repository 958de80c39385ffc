"""Golden files of line 1 of a head, field by field, right and wrong: who takes it, and whom it includes."""

from __future__ import annotations

import json

from golden.common import Files, text_of
from golden.served import application_payloads, payloads
from slotbench.formats.head import DEVICES_MAX

GONE = object()
"""In place of a field's value: the field is missing."""
ASKING = [("lamp-7", None), ("lamp-7", "lab"), ("lamp-77", None), ("4a7e1c00", "lab"), ("4a7e1c00", "attic")]
"""Device ids and cohorts that ask whether a head with 0 percent includes them."""


def heads() -> dict[str, tuple[dict[str, object], int, bool]]:
    """Name -> changed fields, the code with which a board refuses it (0: it takes it), and whether the bench
    reads it.

    The bench is the stricter one: it wants to notice a mistake, and a board must live with what newer
    publishers write.
    """
    ids = [f"{number:08x}" for number in range(DEVICES_MAX + 1)]
    wrong: dict[str, tuple[dict[str, object], int, bool]] = {}
    for field in ("product", "channel", "epoch", "seq", "release", "counter", "issued", "expires", "percent",
                  "cohorts", "paused"):
        code = {"product": 25}.get(field, 20)
        wrong[f"no_{field}"] = {field: GONE}, code, False
    for field in ("epoch", "seq", "counter", "issued", "expires", "percent", "interval_s", "app_counter"):
        wrong[f"{field}_as_text"] = {field: "7"}, 20, False
        wrong[f"{field}_negative"] = {field: -1}, 20, False
        wrong[f"{field}_too_large"] = {field: 1 << 32}, 20, False
    return {
        "usual": ({}, 0, True),
        "devices": ({"devices": ["lamp-7", "4a7e1c01"]}, 0, True),
        "devices_and_cohorts": ({"devices": ["lamp-7"], "cohorts": ["lab"]}, 0, True),
        "devices_paused": ({"devices": ["lamp-7"], "paused": True}, 0, True),
        "devices_most": ({"devices": ids[:DEVICES_MAX]}, 0, True),
        "devices_too_many": ({"devices": ids}, 0, False),
        "devices_none": ({"devices": []}, 0, False),
        "devices_twice": ({"devices": ["lamp-7", "lamp-7"]}, 0, False),
        "devices_as_text": ({"devices": "lamp-7, lamp-77"}, 20, False),
        "devices_as_object": ({"devices": {"lamp-7": 1}}, 20, False),
        "devices_as_null": ({"devices": None}, 20, False),
        "devices_of_lists": ({"devices": [["lamp-7"], {"lamp-7": 1}, 7, None]}, 0, False),
        "devices_empty_id": ({"devices": ["", "lamp-7"]}, 0, False),
        "devices_long_id": ({"devices": ["l" * 65]}, 0, False),
        "devices_quoted_id": ({"devices": ['lamp-7"']}, 0, False),
        "devices_not_ascii": ({"devices": ["caf\u00e9"]}, 0, False),
        "unknown_field": ({"shop": "here"}, 0, False),
        "interval": ({"interval_s": 900}, 0, True),
        "interval_too_short": ({"interval_s": 1}, 0, False),
        "percent_above_100": ({"percent": 101}, 0, False),
        "cohorts_as_text": ({"cohorts": "lab"}, 20, False),
        "cohorts_of_numbers": ({"cohorts": [7]}, 0, False),
        "paused_as_number": ({"paused": 1}, 20, False),
        "release_short": ({"release": "ab" * 31}, 20, False),
        "release_not_hex": ({"release": "xy" * 32}, 20, False),
        "app_as_number": ({"app": 7, "app_counter": 11}, 20, False),
        "app_without_counter": ({"app": "ab" * 32}, 20, False),
        "app_counter_beside_app": ({"app_counter": 11}, 0, True),
        "app_counter_alone": ({"app_counter": 11}, 0, False),
        "another_channel": ({"channel": "beta"}, 27, True),
        "another_product": ({"product": "cellar"}, 25, True),
        "another_format": ({"format": 2}, 24, False),
        "another_kind": ({"kind": "release"}, 23, False),
        "expired": ({"issued": 1, "expires": 2}, 34, True),
        "of_another_epoch": ({"epoch": 2}, 42, True),
        **wrong,
    }


def head_files() -> Files:
    """heads/: line 1 of a head, and who takes it."""
    files: Files = {}
    usual = json.loads(payloads()["head"]) | {"percent": 0, "cohorts": []}
    both = json.loads(application_payloads()["both"][1]) | {"percent": 0, "cohorts": []}
    for name, (changes, code, is_read) in heads().items():
        base = both if name.startswith("app_counter") and name != "app_counter_alone" else usual
        fields = {key: value for key, value in {**base, **changes}.items() if value is not GONE}
        line = json.dumps(fields, separators=(",", ":")).encode("ascii")
        says: dict[str, object] = {"board": code, "bench": is_read}
        if not code and is_read:
            named = [*changes.get("devices", ()), *changes.get("cohorts", ())]  # type: ignore[misc]
            says["includes"] = [
                [device, cohort, device in named or cohort in named] for device, cohort in ASKING]
        files[f"heads/{name}.line"] = line
        files[f"heads/{name}.json"] = text_of(says)
    return files
