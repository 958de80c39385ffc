"""server.boards and release.identities: who asks is known by its secret, nothing replays, nothing else is believed."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.formats import identity
from slotbench.release.identities import Identities, secret_in
from slotbench.server import BoardAuthenticator, create_app
from slotbench.server.board_authenticator import LIFE_S
from support.samples import NOW

SECRET = bytes(range(32))
HEAD = "/heads/sensor/stable.head"


class Asker:
    """A board's part of the talk, made by hand."""

    def __init__(self, client, device_id="lamp-7", secret=SECRET):
        self.client, self.device_id, self.secret = client, device_id, secret
        self.nonce, self.nc = "", 0

    def get(self, path=HEAD, **changes):
        """Ask with the challenge at hand, or without; the challenge of the answer is kept."""
        header = f'Twoslot id="{self.device_id}"'
        if self.nonce:
            self.nc += 1
            header = self.proof(path, **changes)
        return self.send(path, header)

    def proof(self, path=HEAD, *, nc=None, running=5, report="1/5", told=None, method="GET"):
        nc = nc or self.nc
        code, about = report.split("/")
        proof = identity.Proof(
            nonce=self.nonce, nc=nc, report=int(code), about=int(about), running=running, mac="")
        mac = identity.mac(self.secret, proof.message(method, path))
        return (
            f'Twoslot id="{self.device_id}", nonce="{self.nonce}", nc={nc}, report="{report}", '
            f'running="{told or running}", mac="{mac}"')

    def send(self, path, header):
        answer = self.client.get(path, headers={"Authorization": header})
        if found := answer.headers.get("WWW-Authenticate"):
            self.nonce, self.nc = found.removeprefix('Twoslot nonce="').removesuffix('"'), 0
        return answer


@pytest.fixture
def path(tmp_path) -> Path:
    file = tmp_path / "identities.json"
    Identities({"lamp-7": SECRET}).save(file)
    return file


@pytest.fixture
def clock():
    return [float(NOW)]


@pytest.fixture
def serving(tmp_path, path, clock):
    """A server that has one head, as `require` says."""
    (tmp_path / "www/heads/sensor").mkdir(parents=True)
    (tmp_path / "www/heads/sensor/stable.head").write_bytes(b"a head\n")

    def serving(require=True):
        boards = BoardAuthenticator(path, require=require, clock=lambda: clock[0])
        return create_app(tmp_path / "www", boards).test_client(), boards

    return serving


class TestProof:
    def test_who_has_the_secret_is_served(self, serving):
        client, boards = serving()
        asker = Asker(client)
        first = asker.get()
        assert (first.status_code, first.data) == (401, b"") and asker.nonce

        assert asker.get().status_code == 200
        assert asker.get(running=6).status_code == 200
        assert boards.listed() == {
            "lamp-7": {"running": 6, "report": "confirmed", "report_counter": 5, "seen": NOW}}

    def test_what_was_said_once_is_not_believed_again(self, serving):
        client, boards = serving()
        asker = Asker(client)
        asker.get()
        asker.get()
        heard = asker.proof()
        assert asker.send(HEAD, heard).status_code == 401, "the same again"
        asker.get()
        asker.get()
        late = asker.proof(nc=1)
        assert asker.send(HEAD, late).status_code == 401, "a lower count of the same challenge"

    def test_a_challenge_before_the_last_one_is_not_believed(self, serving):
        """A request that was held back, sent after the board had begun anew."""
        client, _ = serving()
        held, asker = Asker(client), Asker(client)
        held.get()
        asker.get()
        assert asker.get().status_code == 200
        assert held.get().status_code == 401

    @pytest.mark.parametrize("wrong", [
        {"told": 9}, {"method": "HEAD"}], ids=["another counter", "another method"])
    def test_what_was_changed_on_the_way_is_not_believed(self, serving, wrong):
        client, boards = serving()
        asker = Asker(client)
        asker.get()
        assert asker.get(**wrong).status_code == 403
        assert boards.listed() == {}

    def test_a_proof_is_for_one_path(self, serving):
        client, _ = serving()
        asker = Asker(client)
        asker.get()
        asker.nc = 1
        assert asker.send(HEAD, asker.proof("/keys/sensor.keys")).status_code == 403

    @pytest.mark.parametrize(("device_id", "secret"), [("lamp-7", bytes(32)), ("lamp-8", SECRET)])
    def test_another_secret_or_name_is_refused(self, serving, device_id, secret):
        client, boards = serving()
        asker = Asker(client, device_id, secret)
        asker.get()
        assert asker.get().status_code == 403
        assert boards.listed() == {}

    def test_a_challenge_is_over_after_a_while(self, serving, clock):
        client, _ = serving()
        asker = Asker(client)
        asker.get()
        clock[0] += LIFE_S - 1
        assert asker.get().status_code == 200
        clock[0] += 2
        assert asker.get().status_code == 401
        assert asker.get().status_code == 200

    def test_a_challenge_of_before_a_restart_is_nobodys(self, serving):
        client, _ = serving()
        asker = Asker(client)
        asker.get()
        asker.client, _ = serving()
        assert asker.get().status_code == 401
        assert asker.get().status_code == 200

    @pytest.mark.parametrize("nonce", ["0" * 48, "f" * 48, "0", "f" * 64])
    def test_a_challenge_is_not_made_up(self, serving, nonce):
        client, _ = serving()
        asker = Asker(client)
        asker.nonce = nonce
        assert asker.get().status_code == 401

    @pytest.mark.parametrize("header", [
        "", "Basic YTpi", "Twoslot", 'Twoslot id=""', 'Twoslot id="lamp-7", nonce="00"', 'twoslot id="lamp-7"',
        'Twoslot id="lamp-7", nonce="00", nc=-1, report="1/5", running="5", mac="' + "0" * 64 + '"'])
    def test_anything_else_is_asked_who_it_is(self, serving, header):
        client, _ = serving()
        assert client.get(HEAD, headers={"Authorization": header}).status_code == 401
        open_client, boards = serving(require=False)
        assert open_client.get(HEAD, headers={"Authorization": header}).status_code == 200
        assert boards.listed() == {}


class TestOpen:
    """Without --require-identity everybody is served, and nobody believed without a proof."""

    def test_boards_prove_themselves_all_the_same(self, serving):
        client, boards = serving(require=False)
        asker = Asker(client)
        assert asker.get().status_code == 401
        assert asker.get().status_code == 200
        assert list(boards.listed()) == ["lamp-7"]

    @pytest.mark.parametrize(("device_id", "secret"), [("lamp-7", bytes(32)), ("lamp-8", SECRET)])
    def test_who_proves_nothing_is_served_and_not_listed(self, serving, device_id, secret, caplog):
        client, boards = serving(require=False)
        asker = Asker(client, device_id, secret)
        asker.get()
        assert asker.get().status_code == 200
        assert boards.listed() == {}
        assert f"{device_id} " in caplog.text and "not believed" in caplog.text


class TestList:
    def test_boards_are_listed_for_this_computer_only(self, serving):
        client, _ = serving()
        asker = Asker(client)
        asker.get()
        asker.get(report="3/9")

        listed = client.get("/boards")

        assert listed.json == {"lamp-7": {"running": 5, "report": "unproven", "report_counter": 9, "seen": NOW}}
        assert client.get("/boards", environ_base={"REMOTE_ADDR": "10.0.0.3"}).status_code == 404

    def test_without_identities_there_is_no_list(self, tmp_path):
        assert create_app(tmp_path).test_client().get("/boards").status_code == 404

    def test_what_changes_is_logged_once(self, serving, caplog):
        client, _ = serving()
        asker = Asker(client)
        with caplog.at_level(logging.INFO):
            for running in (5, 5, 6):
                asker.get()
                asker.get(running=running)
        assert [r.message for r in caplog.records if "runs" in r.message] == [
            "lamp-7 runs 5, its report: confirmed 5", "lamp-7 runs 6, its report: confirmed 5"]

    def test_a_report_that_is_not_known_is_not_a_defect(self, serving):
        client, boards = serving()
        asker = Asker(client)
        asker.get()
        assert asker.get(report="99/5").status_code == 200
        assert boards.listed()["lamp-7"]["report"] == "unknown"


class TestFile:
    def test_it_is_read_again_when_it_changes(self, serving, path):
        client, _ = serving()
        asker = Asker(client, "lamp-8")
        asker.get()
        assert asker.get().status_code == 403
        Identities({"lamp-7": SECRET, "lamp-8": SECRET}).save(path)
        assert asker.get().status_code == 200

    def test_a_damaged_file_leaves_what_was_known(self, serving, path, caplog):
        client, _ = serving()
        asker = Asker(client)
        asker.get()
        path.write_bytes(b"{")
        assert asker.get().status_code == 200
        assert "identities as they were" in caplog.text

    @pytest.mark.parametrize("text", [
        b"", b"[]", b'{"a": 5}', b'{"a": "00"}', b'{"\\"": "%s"}' % (b"0" * 64), b'{"": "%s"}' % (b"0" * 64)])
    def test_what_is_no_such_file_is_told(self, tmp_path, text):
        file = tmp_path / "identities.json"
        file.write_bytes(text)
        with pytest.raises(BenchError, match="identities.json; give the file that") as caught:
            Identities.load(file)
        assert caught.value.exit_code == 2

    def test_nobody_else_can_read_it(self, path, caplog):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        Identities.load(path)
        assert "can be read by others: chmod 600" in caplog.text


class TestSecrets:
    def test_each_board_has_its_own(self):
        known = Identities({}).with_board("a", None).with_board("b", None)
        assert len(set(known.secrets.values())) == 2
        assert secret_in(known.file_for("a")) == known.secrets["a"]

    def test_it_is_kept(self):
        known = Identities({}).with_board("a", SECRET)
        assert known.secrets["a"] == SECRET
        assert known.with_board("a", bytes(32)).secrets["a"] == SECRET, "what is known here counts more"
        assert known.with_board("a", SECRET, renew=True).secrets["a"] != SECRET

    def test_a_name_that_cannot_be_in_a_header_is_refused(self):
        for name in ("", 'a"b', "é", "a\nb", "x" * 65):
            with pytest.raises(BenchError, match="cannot be proven: device_id in twoslot.json"):
                Identities({}).with_board(name, None)

    @pytest.mark.parametrize("file", [None, b"", b"{}", b"5", b'{"secret": 5}', b'{"secret": "00"}'])
    def test_a_damaged_one_is_none(self, file):
        assert secret_in(file) is None


def test_require_identity_needs_a_file(slotbench, tmp_path):
    ran = slotbench("serve", tmp_path, "--require-identity")
    assert ran.code == 2 and "--require-identity needs --identities FILE" in ran.err


def test_golden_message():
    """FORMATS 6.4, byte for byte."""
    header = (
        'Twoslot id="lamp-7", nonce="00ff", nc=3, report="1/5", running="5", '
        'mac="c087ee23e17dc782cd3e34dc54fba8dea31fc0ba794c9f5cd323f8a2b3bcb5c5"')
    name, proof = identity.parse(header)
    assert name == "lamp-7"
    assert proof.message("GET", HEAD) == b"GET\n/heads/sensor/stable.head\n00ff\n3\n1/5\n5"
    assert proof.is_of(SECRET, "GET", HEAD) and not proof.is_of(SECRET, "HEAD", HEAD)
