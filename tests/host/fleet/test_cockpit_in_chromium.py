"""The cockpit in a real browser: an operator's first day, with thirty boards that prove who they are over HTTP.

Screenshots are in .cache/screenshots.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from slotbench.fleet.access_tokens import AccessRole, make_token
from slotbench.fleet.audit_log import Actor
from slotbench.fleet.cockpit.app import Cockpit, create_cockpit
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_runner import RolloutRunner, read_channel_head
from slotbench.fleet.site_mirror import SiteMirror
from slotbench.formats.board_report import BoardReport, ReportEvent
from slotbench.release.identities import Identities
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.store import Store
from slotbench.server import BackgroundServer, BoardAuthenticator, ProvenReport, create_app
from support.board_client import SECRET, BoardClient
from support.chromium import chromium, serious_faults, show
from support.commands import MakeRelease
from support.samples import NOW, PRODUCT, KeyRing

PHONE = 390
BOARDS = 30
LIMIT_S = 90
PRESS = """
for (const each of document.querySelectorAll("summary, button, nav a, main a")) {
  if (each.innerText.trim() === arguments[0] && each.checkVisibility()) { each.click(); return true; }
}
return false;
"""


class CockpitHouse:
    """A server with its boards, an operator, and the process that signs; time goes by when told to."""

    def __init__(self, database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float], folder: Path) -> None:
        self.database, self.site, self.ring, self.clock = database, site, ring, clock
        ids = [f"lamp-{number:02}" for number in range(BOARDS)]
        Identities(dict.fromkeys(ids, SECRET)).save(folder / "boards.json")
        self.recorder = BoardRecorder(database, late_s=13 * 3600, clock=lambda: clock[0])
        authenticator = BoardAuthenticator(
            folder / "boards.json", clock=lambda: clock[0], observer=self.recorder.observe)
        self.client = create_app(site.root, authenticator).test_client()
        self.boards = {device_id: BoardClient(self.client, device_id) for device_id in ids}
        self.mirror = SiteMirror(database, site.root, lambda: clock[0])
        self.runner = RolloutRunner(database, site.root, ring.document, ring.load("online"), lambda: clock[0])

    def turn(self, hours: float = 0, *, counter: int = 5, bad: int = 0) -> None:
        """Time goes by, boards ask, and what is due is done. Included ones run `counter`; `bad` ones gave it up."""
        self.clock[0] += hours * 3600
        head = read_channel_head(self.site, PRODUCT, "stable")
        taking = [each for each in self.boards if head and head.counter == counter and head.includes(each)]
        for device_id, board in self.boards.items():
            failed = device_id in taking[:bad]
            running = counter if device_id in taking and not failed else 5
            board.nonce = ""
            board.get()
            board.get(running=running, report=f"2/{counter}" if failed else f"1/{running}")
        self.recorder.flush()
        self.runner.step()
        self.mirror.sync()


@pytest.fixture
def house(database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float], tmp_path: Path) -> CockpitHouse:
    site.root.mkdir()
    return CockpitHouse(database, site, ring, clock, tmp_path)


@pytest.fixture
def publish(
    site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes, clock: list[float],
) -> Callable[..., None]:
    def publish(counter: int, version: str, percent: int) -> None:
        publish_release(
            site, make_release(counter, version=version, notes="warmer light"), ring.document, [firmware],
            ring.load("online"), int(clock[0]), rollout=Rollout(percent=percent))

    return publish


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Chrome]:
    with chromium(tmp_path / "profile") as driver:
        yield driver
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


def test_an_operators_first_day(
    driver: Chrome, house: CockpitHouse, publish: Callable[..., None], clock: list[float],
) -> None:
    app = create_cockpit(Cockpit(database=house.database, site=house.site.root, clock=lambda: clock[0]))
    with house.database.writing() as connection:
        token = make_token(connection, Actor("somebody"), NOW, "anna", AccessRole.OPERATOR)
    with BackgroundServer(app) as server:

        def look(path: str, words: str) -> None:
            """Open a page; a session that ended in between begins again, and leads there."""
            driver.get(server.url + path)
            for field in driver.find_elements(By.ID, "token"):
                field.send_keys(token, Keys.ENTER)
            wait_for(words)

        def text() -> str:
            return str(driver.execute_script("return document.getElementById('main')?.innerText || ''"))

        def wait_for(words: str) -> None:
            WebDriverWait(driver, LIMIT_S).until(lambda _: words in text(), f"no {words!r} in {text()}")

        def press(words: str) -> None:
            assert driver.execute_script(PRESS, words), f"nothing says {words!r}: {text()}"

        # A wrong token, then the right one: an empty fleet tells what to type.
        driver.get(server.url)
        driver.find_element(By.ID, "token").send_keys("1.wrong", Keys.ENTER)
        wait_for("This token is not right.")
        show(driver, "login", width=PHONE)
        driver.get(server.url)
        driver.find_element(By.ID, "token").send_keys(token, Keys.ENTER)
        wait_for("Your fleet begins here")
        show(driver, "first-start")
        assert serious_faults(driver) == []

        # Boards appear by themselves while the page is open.
        publish(6, "2.0.0", 0)
        house.turn()
        driver.get(server.url)
        wait_for(f"All {BOARDS} boards are well")

        # A rollout from the release's page, to all boards.
        press("Releases")
        press("2.0.0")
        press("Roll it out in steps")
        steps = driver.find_element(By.NAME, "steps")
        steps.clear()
        steps.send_keys("20,100")
        driver.find_element(By.CSS_SELECTOR, "details[open] button").click()
        wait_for("running")
        house.turn(counter=6)
        house.turn(counter=6)
        wait_for("watching 20 %")  # without a reload: the page hears of it
        show(driver, "rollout")
        show(driver, "rollout-dark", is_dark=True)
        assert serious_faults(driver) == []
        house.turn(24, counter=6)
        house.turn(24, counter=6)
        house.turn(1, counter=6)
        look("/rollouts", "done")

        # The next release is a bad one: it pauses by itself.
        publish(7, "2.1.0", 0)
        house.turn(counter=6)
        digest = read_channel_head(house.site, PRODUCT, "stable")
        assert digest is not None
        look(f"/release?digest={digest.release}", "Roll it out")
        show(driver, "release")
        show(driver, "release-phone", width=PHONE, is_dark=True)
        assert serious_faults(driver) == []
        press("Roll it out in steps")
        driver.find_element(By.CSS_SELECTOR, "details[open] button").click()
        wait_for("running")
        for _ in range(3):
            house.turn(25, counter=7, bad=2)
        look("/rollout/2", "paused")
        assert "failed, more than 5 %" in text()
        head = read_channel_head(house.site, PRODUCT, "stable")
        assert head is not None and head.paused
        show(driver, "paused")
        look("/", "need")
        show(driver, "overview")
        show(driver, "overview-dark", is_dark=True)
        show(driver, "overview-phone", width=PHONE)
        assert serious_faults(driver) == []

        # Without a rollout: its release is resumed and promoted from its page, which follows by itself.
        look("/rollout/2", "paused")
        press("Abort")
        press("Abort it now")
        wait_for("aborting")
        house.turn(counter=7, bad=2)
        wait_for("aborted")
        look(f"/release?digest={digest.release}", "what next?")
        press("Resume")
        press("Resume it now")
        wait_for("anna asked to resume")
        house.turn(counter=7, bad=2)
        wait_for("Promote by hand")
        press("Promote by hand")
        driver.find_element(By.NAME, "percent").send_keys(Keys.CONTROL, "a")
        driver.find_element(By.NAME, "percent").send_keys("60", Keys.ENTER)
        wait_for("anna asked to promote to 60 %")
        house.turn(counter=7, bad=2)
        wait_for("60 % of the boards.")
        head = read_channel_head(house.site, PRODUCT, "stable")
        assert head is not None and (head.percent, head.paused) == (60, False)
        clock[0] += 60
        look(f"/release?digest={digest.release}", "no process signs now")
        assert "slotbench release pause --channel stable" in text()
        show(driver, "read-only")
        assert serious_faults(driver) == []

        # One board's life, found with the keyboard.
        told = BoardReport(
            start=1, number=1, event=ReportEvent.START, board="d1_mini", slot=0, spare=6, free=21344, rssi=-61, reset=4)
        house.recorder.observe(ProvenReport(device_id="lamp-07", at=int(clock[0]), report=told))
        house.recorder.flush()
        driver.find_element(By.TAG_NAME, "body").send_keys("gb")
        wait_for(f"{BOARDS} boards")
        driver.find_element(By.TAG_NAME, "body").send_keys("/")
        driver.switch_to.active_element.send_keys("lamp-07", Keys.ENTER)
        wait_for("1 board matches")
        driver.find_element(By.TAG_NAME, "body").send_keys("j")
        driver.switch_to.active_element.send_keys(Keys.ENTER)
        wait_for("proved for the first time who it is")
        assert "the other slot has 2.0.0 (counter 6)" in text()
        press("Name it")
        driver.find_element(By.ID, "name").send_keys("Reading lamp")
        driver.find_element(By.ID, "place").send_keys("kitchen", Keys.ENTER)
        wait_for("Reading lamp")
        show(driver, "board")
        show(driver, "board-phone", width=PHONE)
        assert serious_faults(driver) == []
        look("/boards", "Reading lamp")
        show(driver, "boards-phone", width=PHONE, is_dark=True)
        assert serious_faults(driver) == []
        look("/audit", "rollout start")
        assert serious_faults(driver) == []
        press("Log out")
        wait_for("Log in with a token")
        noise = [each["message"] for each in driver.get_log("browser") if "status of 403" not in each["message"]]
        assert noise == [], "the console of the browser has something to say"
