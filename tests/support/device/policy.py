"""A board as trust.document and trust.policy see it, and their three checks in the agent's order."""

from __future__ import annotations

from typing import Any

from slotbench.formats.journal import channel_tag
from slotbench.formats.keys import Keys
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, CHANNEL, NOW, PRODUCT, RUNNING, read_document, refusal, signing_key
from support.device.release import SignedOffer

TAG = channel_tag(PRODUCT, CHANNEL)


class PolicyBench:
    """Runs release 5 in slot A, spare slot B; every field can be set before a check."""

    def __init__(self, vm: CPythonVM) -> None:
        self.vm = vm
        self.policy = vm.import_("twoslot.trust.policy")
        self.offline = [signing_key("offline").modulus]
        self.online = signing_key("online").modulus
        self.settings: dict[str, Any] = {"product": PRODUCT, "board": BOARD.name, "channel": CHANNEL}
        self.epoch, self.now, self.device_id, self.force = 1, NOW + 60, "4a7e1c00", False
        self.facts: dict[str, Any] = {
            "slot": 0, "confirmed": True, "counter": RUNNING, "fs_version": 0x00020001, "floor": 1, "bad": 0,
            "unproven": 0, "rounds": 0, "seq": 11, "time": NOW - 60, "epoch": 1, "tag": TAG,
            "keys": None, "others": b"",
            "size": BOARD.slots[1].image.size, "fs_start": BOARD.fs_start}

    def read_payload(self, text: bytes, kind: str) -> Any:
        """(payload, digest, epoch) of a document, for a board with these keys pinned."""
        pinned = Keys(product=PRODUCT, epoch=self.epoch, issued=NOW, offline=tuple(self.offline), online=self.online)
        self.vm.runtime.files["/twoslot.keys"] = pinned.to_payload() + b"\n"
        return read_document(self.vm, text, kind)

    def check_head(self, text: bytes) -> Any:
        j, _, epoch = self.read_payload(text, "head")
        return self.policy.check_head(j, epoch, self.settings, self.facts, self.now)

    def check_rollout(self, head: Any) -> None:
        self.policy.check_rollout(head, self.facts, self.settings, self.device_id, self.force)

    def check_release(self, text: bytes, head: Any) -> Any:
        j, digest, _ = self.read_payload(text, "release")
        return self.policy.check_release(j, digest, head, self.settings, self.facts)

    def check_offer(self, offered: SignedOffer) -> Any:
        """The plan that this board makes of an offer; raises what it refuses it for."""
        head = self.check_head(offered.head)
        self.check_rollout(head)
        return self.check_release(offered.release, head)

    def require_refusal(self, offered: SignedOffer, code: int, where: int | None = None) -> None:
        with refusal(self.vm, "ReleaseError", code, where):
            self.check_offer(offered)
