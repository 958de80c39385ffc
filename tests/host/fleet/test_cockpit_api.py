"""What programs read: the OpenAPI document is true (schemathesis), and Prometheus gets its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from slotbench.fleet.access_tokens import AccessRole, make_token
from slotbench.fleet.audit_log import Actor
from slotbench.fleet.board_list import LATE_S
from slotbench.fleet.cockpit.app import Cockpit, create_cockpit
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_plan import RolloutPlan
from slotbench.fleet.rollout_runner import read_channel_head
from slotbench.fleet.rollout_store import begin_rollout
from slotbench.fleet.site_mirror import SiteMirror
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.fleet import fill, proven
from support.samples import NOW, PRODUCT, KeyRing

SOMEBODY = Actor("somebody")


@pytest.fixture
def app(
    database: FleetDatabase, recorder: BoardRecorder, clock: list[float], site: Store, ring: KeyRing,
    make_release: MakeRelease, firmware: bytes,
) -> Flask:
    """A cockpit that has something of everything."""
    publish_release(
        site, make_release(7), ring.document, [firmware], ring.load("online"), NOW, rollout=Rollout(percent=10))
    SiteMirror(database, site.root, lambda: NOW).sync()
    fill(
        database, 5, report=lambda n: 2 if n == 3 else 1, running=lambda n: 7 if n == 1 else 5,
        board=lambda n: "d1_mini" if n < 2 else "", slot=0, spare=4)
    recorder.observe(proven("lamp-000003", report=2, report_counter=7, running=1 << 31))
    recorder.flush()
    head = read_channel_head(site, PRODUCT, "stable")
    assert head is not None
    with database.writing() as connection:
        begin_rollout(connection, SOMEBODY, NOW, head, RolloutPlan(), LATE_S)
    return create_cockpit(
        Cockpit(database=database, site=Path(site.root), clock=lambda: clock[0], recorder=recorder))


@pytest.fixture
def authorized(database: FleetDatabase) -> dict[str, str]:
    with database.writing() as connection:
        token = make_token(connection, SOMEBODY, NOW, "program", AccessRole.VIEWER)
    return {"Authorization": f"Bearer {token}", "Host": "127.0.0.1"}


def test_the_document_is_true(app: Flask, authorized: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app, headers=authorized)
    addresses = [each.ok() for each in schema.get_all_operations()]
    assert len(addresses) == 5
    for address in addresses:

        @settings(max_examples=6, suppress_health_check=list(HealthCheck))
        @given(case=address.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(headers=authorized, checks=[
                not_a_server_error, status_code_conformance, content_type_conformance,
                response_schema_conformance])

        ask()


def test_prometheus_gets_its_numbers(app: Flask, authorized: dict[str, str], recorder: BoardRecorder) -> None:
    answer = app.test_client().get("/metrics", headers=authorized)
    assert answer.status_code == 200
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text) for sample in family.samples}
    assert found["twoslot_boards", "well"] == 4 and found["twoslot_boards", "trouble"] == 1
    assert found["twoslot_boards_running", "7", PRODUCT, "stable"] == 1
    assert found["twoslot_boards_profile", "d1_mini"] == 2 and found["twoslot_boards_profile", ""] == 3
    assert found["twoslot_head_percent", PRODUCT, "stable"] == 10
    assert found["twoslot_head_expires_timestamp_seconds", PRODUCT, "stable"] == NOW + 30 * 86400
    assert found["twoslot_rollouts", "running"] == 1 and found["twoslot_signing_process",] == 0
    assert found["twoslot_requests_written_total",] == 1 and found["twoslot_requests_dropped_total",] == 0
    assert found["twoslot_database_bytes",] > 0
    assert app.test_client().get("/metrics", headers={"Host": "127.0.0.1"}).status_code == 401
