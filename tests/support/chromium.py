"""A headless Chromium, Debian's, with its driver. It talks to this computer alone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

SCREENSHOTS = Path(__file__).parents[2] / ".cache" / "screenshots"
"""Where screenshots go: the output of a test run."""
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--window-size=1200,900")
AXE = "axe_core_python"


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """It runs while the context is entered. Without it the test is skipped, or fails where nothing may be."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        reason = "needs the Debian packages chromium and chromium-driver (.ci/run installs them)"
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(str(programs[1])))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Chrome, name: str, *, width: int = 1200, is_dark: bool = False) -> None:
    """Load the page again at this width and in this scheme, and save a picture of all of it."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    _resize(driver, width, 800)
    driver.refresh()
    _resize(driver, width, max(800, driver.execute_script("return document.documentElement.scrollHeight")))
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width, f"{name} is {wide} wide, the window {width}"


def serious_faults(driver: Chrome) -> list[str]:
    """What axe-core finds in the page that is serious or critical."""
    found = find_spec(AXE)
    assert found is not None and found.submodule_search_locations
    source = (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")
    driver.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
    result = driver.execute_cdp_cmd("Runtime.evaluate", {
        "expression": "axe.run().then(r => JSON.stringify(r.violations.filter(v => ['serious', 'critical']"
        ".includes(v.impact)).map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))))",
        "awaitPromise": True, "returnByValue": True})
    assert "value" in result["result"], result
    faults: list[str] = json.loads(result["result"]["value"])
    return faults


def _resize(driver: Chrome, width: int, height: int) -> None:
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
