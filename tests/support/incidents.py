"""What went wrong with updates of ESP8266 boards elsewhere: public reports by project and number.

Each has a test of its name in tests/attacks. Of those marked "no more is told" the report's number stands in a list
of failed updates, and that is all that is used of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

INCIDENTS: Final[dict[str, str]] = {
    # Power.
    "arduino_905": "an update that survives a power failure: wanted since 2015",
    "arduino_6538": "the order to install lay in RTC memory: gone with the power",
    "arduino_6823": "the order was taken back before the copy was complete: a brick",
    "arduino_8133": "power gone during the copy; millions of devices",
    "espeasy_5602": "the copy in place takes about 20 s, interrupting it leaves limbo",
    "rboot_25": "rBoot's update leaves a corrupt ROM",
    "wled_2293": "2 of 22 boards bricked",
    "oakcore_33": "a bounty for an update that cannot brick",
    "mongoose_os_317": "a crash during the update bricks",
    "yaota8266_7": "MD5 wrong after a complete update: unreliable hardware",
    # The chip: flash parts, memory, time.
    "arduino_7267": "XMC flash: erase fails",
    "arduino_7307": "XMC flash: updates fail",
    "arduino_7317": "XMC flash: the remedy, found by cutting power by hand",
    "arduino_6725": "XMC flash: what was written is not there",
    "tasmota_8334": "XMC flash again",
    "mqttmesh_51": "erasing 75 sectors in one go blocks for 3.42 s",
    "arduino_4898": "checking an RSA signature trips the watchdog at 80 MHz",
    "arduino_4900": "the remedy for that",
    "arduino_7288": "freezes while it verifies",
    "ota_updater_1": "MemoryError at a file of 5 KB",
    "ota_updater_22": "whole firmware wanted; memory consumption way too high",
    "micropython_3647": "TLS fails after about 250 requests",
    # The network.
    "arduino_517": "80 % of all tries missed",
    "arduino_5955": "every other try fails",
    "arduino_6012": "works next to the access point only",
    "arduino_5023": "Stream Read Timeout",
    "arduino_1676": "Stream Read Timeout, whatever the server says before",
    "arduino_7660": "flashed something that does not boot: what came was not what was sent",
    "async_elegant_ota_50": "froze at 56 %",
    "tasmota_1064": "fails sometimes, takes two or three tries",
    "tasmota_1556": "transfers of more than 30 s are aborted",
    "tasmota_950": "30 boards at once, some fail",
    "esphome_issues_456": "connection reset in mid upload",
    "esphome_issues_545": "connection reset in mid upload",
    "esphome_issues_1665": "connection reset in mid upload",
    "esphome_issues_1721": "connection reset by peer",
    "esphome_issues_114": "all is sent, and no answer comes",
    "esphome_15953": "no data for 90 s, then the board hangs until its power is cut",
    "micropython_2535": "updates wanted, 2016 to 2022; datagrams above 548 bytes are dropped",
    "micropython_ota_17": "a lost connection can corrupt what is installed",
    "ota_updater_15": "OSError -202: no name server",
    "ota_updater_23": "a refusal of the server surfaces as a TypeError",
    "esp32_ota_12": "fails against a small Flask service",
    "sonoff_webswitch_33": "TCP here, UDP there: the update never begins",
    "arduino_1469": "an update that fails; no more is told",
    "espeasy_708": "an update that fails; no more is told",
    "tasmota_7139": "an update that fails; no more is told",
    "tasmota_3750": "how to upgrade from afar when updates fail",
    "esphome_issues_970": "an update that fails; no more is told",
    "homie_343": "an update that fails; no more is told",
    "homie_ota_23": "an update that fails; no more is told",
    "sonoff_webswitch_50": "an update that fails; no more is told",
    # Trust.
    "arduino_5818": "updates over HTTPS do not work",
    "arduino_4400": "updates over HTTPS do not work",
    "homie_532": "no update with TLS",
    "micropython_6841": "TLS fails with OSError -40",
    "micropython_lib_400": "TLS fails with OSError -40",
    "ota_updater_6": "resets when it wraps a socket in TLS",
    "ota_updater_8": "OSError -40",
    "arduino_2103": "signed updates wanted",
    "arduino_3412": "signed updates wanted",
    "arduino_5213": "signed updates added",
    "arduino_7145": "a tampered signature crashes the check",
    "arduino_8707": "a new format of signatures, and old ones fit no more",
    "energyme_233": "the signature must be checked before anything is activated",
    "homie_172": "a bad message that the broker keeps: verify before it is applied",
    "homie_204": "checksum wrong after the restart, success told before",
    "homie_297": "a garbled image was installed, the board never comes back",
    "homie_307": "BAD_CHECKSUM on one of two equal boards",
    "esphome_requests_2833": "updates over HTTP should be authenticated",
    # Which release.
    "arduino_5523": "reinstalls whatever the version is",
    "self_update_1": "endless update loop",
    "homie_220": "a checksum should tell whether to update, not a version",
    "sonoff_mqtt_213": "upgrade only when the version is another one",
    "esphome_requests_801": "a check of the version and a timer wanted",
    "madavi_api_11": "the server downgrades newer devices, and the configuration is lost",
    "arduino_3739": "image larger than the room for it",
    "homie_ota_12": "built for another flash layout: the update fails, nobody knows why",
    "tasmota_5239": "the message names another reason than the real one",
    # After it.
    "arduino_1026": "success is told, and the old program runs",
    "homie_261": "all is received, then an exception, and the old firmware runs",
    "tasmota_619": "bricked; a partition to go back to wanted",
    "tasmota_3417": "several boards bricked by an upgrade",
    "esphome_issues_1699": "the first update works, the next one bricks",
    "tasmota_9451": "stuck in the small firmware that is only a step",
    "tasmota_542": "the configuration is lost by an update",
    "tasmota_3790": "after the upgrade the module does not respond any more",
    "tasmota_15502": "rollback on the ESP32 only",
    "esphome_12460": "rollback on the ESP32 only",
    "thingsboard_7": "how to roll back?",
    "arduino_esp32_7422": "how to roll back?",
    "arduino_esp32_8101": "how to roll back?",
    "jkbms_874": "about 15 % of the units roll back, for nothing",
    "ropener_32": "the update reverts when the power is lost next: nothing marked it valid",
    "energyme_237": "the bad firmware has no memory left to download the good one",
    "trmnl_373": "a loop of failed updates; once a day would do",
    "esp_link_267": "the page that upgrades never loads, and nobody is told why",
    "esp_link_247": "the boot loader was overwritten: a loop of resets",
    "esp_link_443": "of four reports: flashing, boot loops, the old firmware after a flash",
    "esp_link_409": "of four reports: flashing, boot loops, the old firmware after a flash",
    # The project itself.
    "micropython_18540": "the only update of this port was removed: never completed",
    "yaota8266_25": "no longer developed",
    "yaota8266_26": "no tutorial",
}
"""Project and number of each report, and what happened."""


def incidents(argument: str, **instances: Any) -> pytest.MarkDecorator:
    """Run a test once for each of these incidents, with its own instance of what went wrong."""
    unknown = instances.keys() - INCIDENTS.keys()
    if unknown:
        raise ValueError(f"no such incident: {sorted(unknown)}")
    return pytest.mark.parametrize(argument, list(instances.values()), ids=list(instances))


def told_by(tests: Mapping[str, Any]) -> set[str]:
    """The incidents that the test functions among these names are about, by their names or parameters."""
    found: set[str] = set()
    for name, test in tests.items():
        if not name.startswith("test_"):
            continue
        found |= {incident for incident in INCIDENTS if name.startswith(f"test_{incident}_")}
        for mark in getattr(test, "pytestmark", ()):
            found |= INCIDENTS.keys() & set(mark.kwargs.get("ids") or ())
    return found
