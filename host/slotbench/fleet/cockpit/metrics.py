"""Numbers for Prometheus at /metrics, with a token as `Authorization: Bearer`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from flask import Flask, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from slotbench.fleet.board_list import late_after
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.offers import newest_heads, signing_process
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_store import open_rollouts
from slotbench.fleet.summary import count_profiles, summarize

__all__ = ["add_metrics"]

_VERSIONS_MAX = 50


class FleetCollector(Collector):
    """Reads the numbers when it is asked. `recorder` is that of this process; None where it has none."""

    def __init__(
        self, database: FleetDatabase, recorder: BoardRecorder | None, now: Callable[[], int],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """The numbers of this moment."""
        now = self._now()
        with self._database.reading() as connection:
            summary = summarize(connection, now, late_after(connection))
            counted = count_profiles(connection)
            heads = newest_heads(connection)
            rollouts = open_rollouts(connection)
            signer = signing_process(connection, now)
        boards = GaugeMetricFamily("twoslot_boards", "Boards by how they are.", labels=["state"])
        for state, number in summary.states.items():
            boards.add_metric([state.value], number)
        running = GaugeMetricFamily(
            "twoslot_boards_running", "Boards by the counter they run; the rarest are left out.",
            labels=["product", "channel", "counter"])
        for each in sorted(summary.running, key=lambda count: -count.boards)[:_VERSIONS_MAX]:
            running.add_metric([each.product, each.channel, str(each.running)], each.boards)
        profiles = GaugeMetricFamily(
            "twoslot_boards_profile", "Boards by profile, empty: not known; the rarest are left out.",
            labels=["board"])
        for name, number in sorted(counted.items(), key=lambda item: -item[1])[:_VERSIONS_MAX]:
            profiles.add_metric([name], number)
        expires = GaugeMetricFamily(
            "twoslot_head_expires_timestamp_seconds", "When a channel's head expires.",
            labels=["product", "channel"])
        percent = GaugeMetricFamily(
            "twoslot_head_percent", "Percentage of the boards that are offered a release; 0 while paused.",
            labels=["product", "channel"])
        for head in heads:
            expires.add_metric([head.product, head.channel], head.expires)
            percent.add_metric([head.product, head.channel], 0 if head.paused else head.percent)
        under_way = GaugeMetricFamily("twoslot_rollouts", "Rollouts that have not ended.", labels=["state"])
        for name, number in Counter(each.state.value for each in rollouts).items():
            under_way.add_metric([name], number)
        yield from (boards, running, profiles, expires, percent, under_way)
        yield GaugeMetricFamily("twoslot_signing_process", "Whether a process signs heads.", bool(signer))
        yield GaugeMetricFamily(
            "twoslot_database_bytes", "Size of the database.", self._database.size_bytes())
        if self._recorder is not None:
            yield GaugeMetricFamily(
                "twoslot_requests_waiting", "Requests that are not written yet.", self._recorder.waiting)
            yield CounterMetricFamily(
                "twoslot_requests_written", "Requests that were written.", self._recorder.written)
            yield CounterMetricFamily(
                "twoslot_requests_dropped", "Requests that were dropped.", self._recorder.dropped)


def add_metrics(
    app: Flask, database: FleetDatabase, recorder: BoardRecorder | None, now: Callable[[], int],
) -> None:
    """Add the address. `now` gives Unix seconds."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetCollector(database, recorder, now))

    @app.get("/metrics")
    def metrics() -> Response:
        """The numbers."""
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
