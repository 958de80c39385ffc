"""A board as release.py sees it, and the three judgements in the order in which the agent makes them."""

from __future__ import annotations

from typing import Any

from slotbench.formats.journal import channel_tag
from slotbench.vboard.vm import CPythonVM
from support.device_board import BOARD, CHANNEL, NOW, PRODUCT, RUNNING, refusal, signing_key, trial_cell
from support.device_decide import Decider
from support.device_release import Offer

TAG = channel_tag(PRODUCT, CHANNEL)


class Judge:
    """Runs release 5 in slot A, spare slot B; every field can be set before judging."""

    def __init__(self, vm: CPythonVM) -> None:
        self.vm = vm
        self.release = vm.import_("twoslot.release")
        self.offline = [signing_key("offline").modulus]
        self.online = signing_key("online").modulus
        self.settings: dict[str, Any] = {"product": PRODUCT, "board": BOARD.name, "channel": CHANNEL}
        self.epoch, self.now, self.device_id, self.force, self.spare = 1, NOW + 60, "4a7e1c00", False, 1
        self.slots = vm.import_("twoslot.slots").Slots(None)
        decider = Decider(vm)
        self.cell = decider.cell(
            trial_cell(active=0, key_epoch=1, channel_tag=TAG, head_seq=11, head_time=NOW - 60))
        self.running = decider.descriptor(0, RUNNING, fs_version=0x00020001)

    def head(self, text: bytes) -> Any:
        return self.release.judge_head(
            text, self.online, self.epoch, self.settings, TAG, self.cell, self.now)

    def want(self, head: Any) -> None:
        self.release.want(head, self.cell, self.running, self.settings, self.device_id, self.force)

    def plan(self, text: bytes, head: Any) -> Any:
        return self.release.judge_release(
            text, head, self.offline, self.settings, self.slots, self.spare, self.running)

    def all(self, offered: Offer) -> Any:
        """The Plan that this board makes of an offer; raises what it refuses it for."""
        head = self.head(offered.head)
        self.want(head)
        return self.plan(offered.release, head)

    def refuses(self, offered: Offer, code: int, where: int | None = None) -> None:
        with refusal(self.vm, "ReleaseError", code, where):
            self.all(offered)
