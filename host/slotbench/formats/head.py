"""Head document (FORMATS): a channel's short-lived pointer to a release, and its rollout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from slotbench.formats import FormatError
from slotbench.formats.document import SIGNED_LINES_BYTES
from slotbench.formats.fields import TIME_MAX, Fields, dump_json
from slotbench.formats.identity import DEVICE_ID

KIND = "head"
FORMAT = 1
HEAD_BYTES_MAX = 1536
"""The longest head in bytes, with its signature: what a board has memory for beside an application."""
NO_RELEASE = "0" * 64
"""The `release` of a head that has an application alone."""
INTERVAL_S = (60, 604_800)
"""The shortest and the longest poll interval that boards accept, in seconds: a minute and a week."""
DEVICES_MAX = 16
"""The most boards that a head lists by their device ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A channel head.

    `release` is the digest of a release document in hex, and `counter` its counter; NO_RELEASE and 0 where
    the head has an application alone. `app` is the digest of an application document, `app_counter` its
    counter; "" and 0: it has none. `issued` and `expires` are Unix seconds. `interval_s` is the poll
    interval for boards in seconds; with 0 each board uses its own setting. `devices` are the device ids of
    boards that are included whatever `percent` says, DEVICES_MAX at most.
    """

    product: str
    channel: str
    epoch: int
    seq: int
    release: str
    counter: int
    issued: int
    expires: int
    percent: int = 100
    cohorts: tuple[str, ...] = ()
    paused: bool = False
    interval_s: int = 0
    app: str = ""
    app_counter: int = 0
    devices: tuple[str, ...] = ()

    def to_payload(self) -> bytes:
        """Line 1 of the document.

        Raises FormatError with the name of a field that the format does not allow.
        """
        fields = asdict(self)
        if not self.interval_s:
            del fields["interval_s"]
        if not self.app:
            del fields["app"], fields["app_counter"]
        if not self.devices:
            del fields["devices"]
        payload = dump_json({"kind": KIND, "format": FORMAT, **fields})
        self.from_payload(payload)
        return payload

    @classmethod
    def from_payload(cls, payload: bytes) -> Head:
        """The head in line 1. Raises FormatError for a missing, wrong or unknown field, or a long head."""
        size = len(payload) + SIGNED_LINES_BYTES
        fields = Fields.parse(payload, KIND, FORMAT)
        if size > HEAD_BYTES_MAX:
            raise FormatError(
                f"head has {size} bytes with its signature, at most {HEAD_BYTES_MAX} are allowed",
                field="cohorts", cure="list fewer cohorts or devices, or give them shorter names")
        head = cls(
            product=fields.name("product"),
            channel=fields.name("channel"),
            epoch=fields.integer("epoch", low=1),
            seq=fields.integer("seq", low=1),
            release=fields.hex_digest("release"),
            counter=fields.integer("counter", low=0 if fields.has("app") else 1),
            issued=fields.integer("issued", high=TIME_MAX),
            expires=fields.integer("expires", high=TIME_MAX),
            percent=fields.integer("percent", high=100),
            cohorts=fields.names("cohorts", at_least=0),
            paused=fields.boolean("paused"),
            interval_s=fields.integer("interval_s", *INTERVAL_S) if fields.has("interval_s") else 0,
            app=fields.hex_digest("app") if fields.has("app") else "",
            app_counter=fields.integer("app_counter", low=1) if fields.has("app_counter") else 0,
            devices=_read_devices(fields) if fields.has("devices") else (),
        )
        fields.require_empty()
        if bool(head.app) != bool(head.app_counter):
            raise FormatError("app and app_counter are not there both", field="app")
        if (head.release == NO_RELEASE) != (head.counter == 0):
            raise FormatError("a head without a release has 64 zeros and the counter 0", field="release")
        if head.expires <= head.issued:
            raise FormatError(f"{head.expires} is not after issued {head.issued}", field="expires")
        return head

    def includes(self, device_id: str, cohort: str | None = None) -> bool:
        """Whether the rollout includes the board with this id and cohort. `paused` is not considered."""
        is_named = device_id in self.devices or cohort in self.cohorts
        return is_named or rollout_place(self.release, device_id, self.app) < self.percent

    def content(self) -> str:
        """What it offers, by counter, in words."""
        release = [f"counter {self.counter}"] if self.counter else []
        return " and ".join([*release, *([f"application {self.app_counter}"] if self.app else [])])

    def audience(self) -> str:
        """The boards that are offered the release, in words."""
        cohorts = f" and cohorts {', '.join(self.cohorts)}" if self.cohorts else ""
        devices = f" and devices {', '.join(self.devices)}" if self.devices else ""
        share = f"{self.percent} % of the boards{cohorts}{devices}"
        return f"no board while paused ({share} when resumed)" if self.paused else share


def check_device_id(value: object, field: str = "devices") -> str:
    """Return `value` if it is a device id that a head can list. Raises FormatError."""
    if not isinstance(value, str) or not DEVICE_ID.fullmatch(value):
        raise FormatError(
            f"{value!r} is not a device id", field=field,
            cure="use 1-64 printable ASCII characters, none of them \"")
    return value


def _read_devices(fields: Fields) -> tuple[str, ...]:
    devices = tuple(check_device_id(each) for each in fields.sequence("devices"))
    if not devices or len(set(devices)) != len(devices):
        raise FormatError("a device is listed twice" if devices else "list is empty", field="devices")
    if len(devices) > DEVICES_MAX:
        raise FormatError(
            f"{len(devices)} devices are listed, at most {DEVICES_MAX} are allowed", field="devices",
            cure="wait until some of them have updated, or raise the percentage")
    return devices


def rollout_place(release: str, device_id: str, app: str = "") -> int:
    """The board's place 0-99 in the rollout of a release (hex digest), and of an application if there is one.

    Places below `percent` take part.
    """
    digest = hashlib.sha256(bytes.fromhex(release + app) + device_id.encode()).digest()
    return int.from_bytes(digest[:2], "big") * 100 >> 16


def rollout_places(release: str, device_ids: Iterable[str], app: str = "") -> Iterator[int]:
    """The places of many boards, as `rollout_place` has them one by one."""
    sha256, begun = hashlib.sha256, bytes.fromhex(release + app)
    for device_id in device_ids:
        digest = sha256(begun + device_id.encode()).digest()
        yield (digest[0] << 8 | digest[1]) * 100 >> 16
