"""Programs of others speak DDI with a real server: SWUpdate from Debian, and the command line's own server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from flask import Flask

import slotbench as slotbench_package
from slotbench.fleet.board_list import find_board
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi import app
from slotbench.fleet.ddi.targets import DdiTarget, find_target
from slotbench.fleet.recorder import BoardRecorder
from slotbench.project import PROJECT_FILE
from slotbench.server import BackgroundServer
from support.commands import CommandResult, RunCommand
from support.ddi import PublishCounter, history, new_token
from support.samples import NOW, PRODUCT, VECTOR_KEYS
from support.web_servers.debian import find_program

LONGEST_S = 120


def certificate(path: Path) -> Path:
    """What SWUpdate verifies updates with: Debian's starts with none without it."""
    key = serialization.load_pem_private_key((VECTOR_KEYS / "test-only-offline.pem").read_bytes(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1).public_key(key.public_key())  # type: ignore[arg-type]
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(key, hashes.SHA256()))  # type: ignore[arg-type]
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def test_swupdate_says_what_it_is_takes_a_release_and_reports(
    ddi: Flask, database: FleetDatabase, recorder: BoardRecorder, publish: PublishCounter, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = find_program("swupdate", "swupdate")
    monkeypatch.setattr(app, "_SLEEP_S", (1, 1))
    publish()
    token = new_token(database, "press-1").partition(" ")[2]
    (tmp_path / "swupdate.cfg").write_text(
        'globals : { loglevel = 5; };\n'
        'identify : ( { name = "hwRevision"; value = "v2 <b>"; }, { name = "cohort"; value = "lab"; } );\n')
    log = tmp_path / "output"

    def target() -> DdiTarget | None:
        with database.reading() as connection:
            return find_target(connection, "press-1")

    with BackgroundServer(ddi) as server, log.open("wb") as output:
        command = [
            program, "-f", tmp_path / "swupdate.cfg", "-k", certificate(tmp_path / "certificate.pem"),
            "-u", f"-t {PRODUCT} -u {server.url} -i press-1 -k {token} -w 1"]
        folders = {"TMPDIR": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
        with subprocess.Popen(
                command, cwd=tmp_path, stdout=output, stderr=output, env=os.environ | folders) as process:
            try:
                ends = time.monotonic() + LONGEST_S
                while (found := target()) is None or not found.report_counter:
                    assert process.poll() is None and time.monotonic() < ends, log.read_text(errors="replace")
            finally:
                process.terminate()
    assert found.attributes["hwRevision"] == "v2 <b>" and found.cohort == "lab"
    recorder.flush()
    with database.reading() as connection:
        board = find_board(connection, "press-1", NOW, 3600)
    assert board is not None and (board.report, board.report_counter, board.running) == ("bad", 7, 0)
    said = [detail for kind, _, detail in history(database, "press-1") if kind == "said"]
    assert said[-1] == "No suitable .swu image found", "it installs archives of its own, and says so"


def test_serve_answers_devices_only_where_it_is_told_to(
    slotbench: RunCommand, publish: PublishCounter, database: FleetDatabase, database_file: Path, tmp_path: Path,
) -> None:
    publish()
    root = tmp_path / "www"
    token = new_token(database, "press-1")
    ran = slotbench("serve", root, "--hawkbit-url", "https://x.example")
    assert ran.code == 2 and "--hawkbit-url needs --hawkbit" in ran.err
    ran = slotbench("serve", root, "--hawkbit", "8280")
    assert ran.code == 2 and "need a database" in ran.err
    (tmp_path / PROJECT_FILE).write_text(f'product = "{PRODUCT}"\nboard = "d1_mini"\nhawkbit = "0"\n')
    command = [
        sys.executable, "-u", "-m", "slotbench", "serve", root, "--port", "0", "--cockpit", "0",
        "--database", f"sqlite:///{database_file}"]
    environment = {**os.environ, "PYTHONPATH": str(Path(slotbench_package.__file__).parents[1])}
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:
        try:
            assert server.stdout is not None
            lines = "".join(server.stdout.readline() for _ in range(3))
            [url] = re.findall(r"hawkBit's DDI: (http://127\.0\.0\.1:\d+)\n", lines)
            poll = Request(f"{url}/{PRODUCT}/controller/v1/press-1", headers={"Authorization": token})
            with urlopen(poll) as answer:
                assert set(json.load(answer)["_links"]) == {"configData"}, "its head expired long ago"
        finally:
            server.terminate()


def test_tokens_are_made_listed_and_taken_away_at_the_command_line(
    slotbench: RunCommand, database: FleetDatabase, database_file: Path,
) -> None:
    def hawkbit(*arguments: str) -> CommandResult:
        return slotbench("fleet", "hawkbit", *arguments, "--database", f"sqlite:///{database_file}")

    assert "slotbench fleet hawkbit add DEVICE" in hawkbit("list").out
    ran = hawkbit("add", "press-1", "--product", PRODUCT)
    assert ran.code == 0 and re.fullmatch(r"[0-9a-f]{32}\n", ran.out)
    assert ran.err == "The target token of press-1 for sensor/stable, shown this once\n"
    made = json.loads(hawkbit("gateway", "hall", "--product", PRODUCT, "--channel", "beta", "--json").out)["result"]
    assert (made["kind"], made["channel"], len(made["token"])) == ("gateway", "beta", 32)
    assert hawkbit("list").out == (
        "hall  gateway token  sensor/beta  since 2025-06-15\npress-1  target token  sensor/stable  since 2025-06-15\n")
    assert hawkbit("add", "press 1", "--product", PRODUCT).code == 2
    ran = hawkbit("retry", "press-1")
    assert ran.code == 2 and "it gave no release up" in ran.err
    assert hawkbit("remove", "hall").out == "hall: taken away\n"
    assert [each["label"] for each in json.loads(hawkbit("list", "--json").out)["result"]["tokens"]] == ["press-1"]
