"""The conversation with devices that speak DDI: what each request changes, and what it is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi import targets
from slotbench.fleet.ddi.artifacts import Artifact, ArtifactList, ReleaseFiles
from slotbench.fleet.ddi.decision import ActionState, OpenAction, PollStep, next_step
from slotbench.fleet.ddi.device_tokens import DeviceToken
from slotbench.fleet.ddi.messages import Execution, Feedback, merge_attributes
from slotbench.fleet.ddi.targets import DdiTarget
from slotbench.formats.head import Head
from slotbench.release import documents, store
from slotbench.release.store import Store
from slotbench.server import ProvenRequest

__all__ = ["Caller", "DdiService", "PollAnswer", "DdiRefusal"]

_INTERVAL_S: Final = 6 * 3600
_SOON_S: Final = 60
_COUNTER_MAX: Final = (1 << 31) - 1

_log = logging.getLogger(__name__)


class DdiRefusal(Exception):
    """A request that is refused: with which status, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the device that it names, the token that it shows, and from which address."""

    device_id: str
    token: DeviceToken
    address: str


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """What a poll is answered: when to come again, what is offered or called off, and what runs."""

    interval_s: int
    action: OpenAction | None
    installed: OpenAction | None
    wants_data: bool


class DdiService:
    """Answers devices for the site in `root`. `observe` is told what they report, as of boards.

    `clock` gives Unix seconds. All methods raise DdiRefusal, and BenchError where the database or the site
    cannot be used.
    """

    def __init__(
        self, database: FleetDatabase, root: Path, observe: Callable[[ProvenRequest], None],
        clock: Callable[[], float],
    ) -> None:
        self.database = database
        self.files = ReleaseFiles(Store(root))
        self._site = Store(root)
        self._observe = observe
        self._clock = clock

    def poll(self, caller: Caller) -> PollAnswer:
        """A device asks whether there is something to do. A new one is written down."""
        now, head = int(self._clock()), self._head(caller.token)
        with self.database.reading() as connection:
            target = targets.find_target(connection, caller.device_id)
            is_due = target is None or self._step(connection, target, head, now)[0] is not PollStep.NOTHING
        if is_due:
            with self.database.writing() as connection:
                self._move_on(connection, self._known(connection, caller, now), head, now)
        with self.database.reading() as connection:
            target = self._target(connection, caller)
            usual_s = head.interval_s if head is not None and head.interval_s else _INTERVAL_S
            answer = PollAnswer(
                _SOON_S if target.attributes_at == 0 else usual_s,  # what it is decides what it is offered
                targets.open_action(connection, caller.device_id),
                targets.installed_action(connection, caller.device_id), target.attributes_at == 0)
        self._tell(caller, target, store.head_name(caller.token.product, caller.token.channel))
        return answer

    def deployment(self, caller: Caller, number: int, states: frozenset[ActionState]) -> ArtifactList:
        """The release of an action in one of these states; from now on the device knows it."""
        with self.database.reading() as connection:
            target = self._target(connection, caller)
            action = self._action(connection, caller, number, states)
        found = self.files.get(action.digest)
        if not action.is_fetched:
            with self.database.writing() as connection:
                targets.mark_fetched(connection, number)
        self._tell(caller, target)
        return found

    def download(self, caller: Caller, number: int, filename: str, first_byte: int | None) -> Artifact:
        """A file of an action. `first_byte` is where a download begins; None for a look at the file."""
        with self.database.reading() as connection:
            target = self._target(connection, caller)
            action = self._action(connection, caller, number, frozenset(ActionState))
        found = self.files.get(action.digest).find(filename)
        if found is None:
            raise DdiRefusal(HTTPStatus.NOT_FOUND, "this release has no such file")
        if first_byte is not None:
            self._tell(caller, target, found.name, first_byte)
        return found

    def feedback(self, caller: Caller, number: int, said: Feedback) -> None:
        """A device reports about an action. Only `closed` ends it: nothing is a success before that."""
        now = int(self._clock())
        with self.database.writing() as connection:
            action = self._open(connection, caller, number, said, now)
            if said.execution is Execution.CLOSED:
                targets.end_action(connection, caller.device_id, action, said.finished != "failure", now)
            elif said.execution is Execution.CANCELED:
                self._stop(connection, caller, action, now, ActionState.DECLINED)
            elif not action.is_fetched:
                targets.mark_fetched(connection, number)
            target = self._target(connection, caller)
        self._tell(caller, target)

    def canceling(self, caller: Caller, number: int) -> None:
        """A device looks at what it is to give up."""
        with self.database.reading() as connection:
            self._action(connection, caller, number, frozenset({ActionState.CANCELING}))

    def cancel_feedback(self, caller: Caller, number: int, said: Feedback) -> None:
        """A device gives an action up, or goes on with it."""
        now = int(self._clock())
        with self.database.writing() as connection:
            action = self._open(connection, caller, number, said, now)
            if action.state is not ActionState.CANCELING:
                raise DdiRefusal(HTTPStatus.NOT_FOUND, "this action was not called off")
            is_failure = said.execution is Execution.CLOSED and said.finished == "failure"
            if said.execution is Execution.REJECTED or is_failure:
                targets.set_state(connection, number, ActionState.KEPT, now)
                targets.note(connection, caller.device_id, now, "goes-on", action.counter)
            elif said.execution in (Execution.CLOSED, Execution.CANCELED):
                self._stop(connection, caller, action, now, ActionState.CANCELED)
            target = self._target(connection, caller)
        self._tell(caller, target)

    def keep_data(self, caller: Caller, body: bytes) -> None:
        """A device says what it is: `counter` what it runs, `cohort` its cohort. Raises MessageError too."""
        now = int(self._clock())
        with self.database.writing() as connection:
            target = self._target(connection, caller, is_locked=True)
            attributes = merge_attributes(body, target.attributes)
            counter = attributes.get("counter", "")
            is_number = counter.isascii() and counter.isdecimal() and len(counter) < 11
            running = int(counter) if is_number and int(counter) <= _COUNTER_MAX else None
            targets.keep_attributes(connection, caller.device_id, attributes, running, now)
            target = self._target(connection, caller)
        self._tell(caller, target)

    def _head(self, token: DeviceToken) -> Head | None:
        path = self._site.path(store.head_name(token.product, token.channel))
        return documents.read_head(path)[1] if path.is_file() else None

    def _step(
        self, connection: Connection, target: DdiTarget, head: Head | None, now: int,
    ) -> tuple[PollStep, OpenAction | None]:
        action = targets.open_action(connection, target.device_id)
        given_up = targets.given_up(connection, target.device_id) if action is None else ()
        return next_step(
            head, target.device_id, target.cohort, target.running, now, action, given_up), action

    def _move_on(self, connection: Connection, target: DdiTarget, head: Head | None, now: int) -> None:
        step, action = self._step(connection, target, head, now)
        if step in (PollStep.DROP, PollStep.CALL_OFF, PollStep.REVIVE) and action is not None:
            state = {PollStep.DROP: ActionState.CANCELED, PollStep.CALL_OFF: ActionState.CANCELING,
                     PollStep.REVIVE: ActionState.OFFERED}[step]
            kind = {
                PollStep.DROP: "withdrawn", PollStep.CALL_OFF: "called-off", PollStep.REVIVE: "offered"}[step]
            targets.set_state(connection, action.id, state, now)
            targets.note(connection, target.device_id, now, kind, action.counter)
        if step is PollStep.DROP:
            step, _ = self._step(connection, target, head, now)
        if step is PollStep.OFFER and head is not None:
            targets.new_action(connection, target.device_id, head.release, head.counter, now)

    def _known(self, connection: Connection, caller: Caller, now: int) -> DdiTarget:
        found = targets.find_target(connection, caller.device_id, is_locked=True)
        if found is not None:
            return found
        if targets.is_board(connection, caller.device_id):
            _log.warning(
                "%s: %s is a board that proves who it is, and no device of hawkBit's API",
                caller.address, caller.device_id)
            raise DdiRefusal(HTTPStatus.FORBIDDEN, "this device id belongs to a board")
        targets.add_target(connection, caller.device_id, caller.token, caller.address, now)
        return self._target(connection, caller, is_locked=True)

    def _target(self, connection: Connection, caller: Caller, *, is_locked: bool = False) -> DdiTarget:
        found = targets.find_target(connection, caller.device_id, is_locked=is_locked)
        if found is None:
            raise DdiRefusal(HTTPStatus.NOT_FOUND, "this device did not poll yet")
        return found

    def _action(
        self, connection: Connection, caller: Caller, number: int, states: frozenset[ActionState],
    ) -> OpenAction:
        found = targets.find_action(connection, caller.device_id, number)
        if found is None or found.state not in states:
            raise DdiRefusal(HTTPStatus.NOT_FOUND, "this device has no such action")
        return found

    def _open(
        self, connection: Connection, caller: Caller, number: int, said: Feedback, now: int,
    ) -> OpenAction:
        """An action that may be reported about; what the device says is kept."""
        self._target(connection, caller, is_locked=True)
        action = self._action(connection, caller, number, frozenset(ActionState))
        if not action.state.is_open:
            raise DdiRefusal(HTTPStatus.GONE, "this action has ended")
        if said.words:
            targets.note(connection, caller.device_id, now, "said", action.counter, said.words)
        return action

    def _stop(
        self, connection: Connection, caller: Caller, action: OpenAction, now: int, state: ActionState,
    ) -> None:
        targets.set_state(connection, action.id, state, now)
        targets.note(connection, caller.device_id, now, "stopped", action.counter)

    def _tell(self, caller: Caller, target: DdiTarget, name: str = "", first_byte: int = 0) -> None:
        """What a device reported, as boards prove it."""
        self._observe(ProvenRequest(
            device_id=target.device_id, at=int(self._clock()), running=target.running, report=target.report,
            report_counter=target.report_counter, name=name, first_byte=first_byte, address=caller.address))
