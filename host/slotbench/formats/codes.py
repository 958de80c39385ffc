"""Error codes of the device (FORMATS): the words that the board has no room for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotbench.errors import USAGE, BenchError


class Kind(StrEnum):
    """What a refusal is about, and so what the board does next."""

    LINK = "link"
    """The pipe: try again later."""
    RELEASE = "release"
    """The release: do not try this one again."""
    FLASH = "flash"
    """The board: stop and report."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code: the word that the board prints with it, its kind, what it means, what the number
    `where` beside it is, and what to do.
    """

    code: int
    word: str
    kind: Kind
    meaning: str
    where: str
    advice: str


def explain(code: int) -> Code:
    """The entry for a code. Raises BenchError for a number that no code has."""
    for entry in CODES:
        if entry.code == code:
            return entry
    raise BenchError(
        f"no error has the code {code}", cure="`slotbench explain` lists them", exit_code=USAGE)


_L, _R, _F = Kind.LINK, Kind.RELEASE, Kind.FLASH

CODES = (
    Code(1, "not-connected", _L, "not connected to a network", "0",
         "Check the Wi-Fi name and password, and that the access point is in reach."),
    Code(2, "name-not-resolved", _L, "server name cannot be resolved", "errno",
         "Check `server` in twoslot.json and that the network has a name server, or give an "
         "address. -2: there is no such name. 110: the name server does not answer."),
    Code(3, "connection-failed", _L, "connection failed", "errno",
         "Start the server: `slotbench serve`. If it runs, check host and port in `server`, and that no "
         "firewall is in between."),
    Code(4, "timeout", _L, "no data within the deadline", "bytes received",
         "The network stalled; the board tries again and keeps the blocks it has."),
    Code(5, "connection-closed", _L, "connection closed too early", "bytes received",
         "The server or the network dropped the connection; the board tries again and keeps the "
         "blocks it has."),
    Code(6, "not-http", _L, "answer is not HTTP", "line",
         "Something else answers on that port; check `server` in twoslot.json for host, port "
         "and http://."),
    Code(7, "http-status", _L, "unexpected status", "status",
         "401, 403: the server wants a login, or lets not everybody read; boards have none, so allow "
         "them there. 404: nothing is published for this product and channel, or `server` names "
         "another path. 5xx: see the server's log."),
    Code(8, "redirect", _L, "redirect refused", "status",
         "Put the final http:// address into `server`; boards follow no redirect, least of all "
         "to https."),
    Code(9, "response-too-long", _L, "answer longer than allowed", "its length",
         "The server sends another file than the one asked for; look at the same URL with a "
         "browser."),
    Code(10, "wrong-range", _L, "not the range that was asked for", "offset",
         "The server or a proxy handles Range wrongly; serve with `slotbench serve` or any "
         "server that answers 206."),
    Code(11, "too-slow", _L, "slower than the floor rate", "bytes received",
         "The connection is too slow to finish; move the board or the access point."),
    Code(12, "block-mismatch", _L, "block differs from the block table", "block",
         "The bytes changed on the way or on the server; when it repeats, publish the release "
         "again."),
    Code(13, "table-mismatch", _L, "block table differs from the release", "0",
         "The table changed on the way or on the server; when it repeats, publish the release "
         "again."),
    Code(14, "broker-unreachable", _L, "MQTT broker cannot be reached", "errno",
         "Check `mqtt` in twoslot.json and that the broker runs. With errno 0, what answers is no broker; "
         "with errno 110 it accepts the connection and says nothing. The board checks by itself all the "
         "same."),
    Code(15, "broker-protocol", _L, "MQTT broker does not speak MQTT 3.1.1", "0",
         "Use a broker that speaks MQTT 3.1.1, or allow that version in its configuration."),
    Code(16, "broker-client-id", _L, "MQTT broker refuses the client id", "0",
         "Set `mqtt_client` in twoslot.json to a name that the broker allows."),
    Code(17, "broker-busy", _L, "MQTT broker is not available now", "0",
         "Look at the broker's log. The board tries again by itself."),
    Code(18, "broker-login", _L, "MQTT broker refuses user name or password",
         "0, or 1: twoslot.mqtt",
         "Put the right user and password into twoslot.mqtt on the board (device/docs/settings.md). With 1 "
         "that file cannot be read."),
    Code(19, "broker-forbids", _L, "MQTT broker does not allow this board", "0, or 128: the topic",
         "Allow the board's user or client id in the broker, or give it a login in twoslot.mqtt. With 128, "
         "allow it to read the topic twoslot/PRODUCT/CHANNEL."),
    Code(20, "document-unreadable", _R, "document cannot be read", "byte",
         "Look at the file with `slotbench release show`; publish it again when it is damaged."),
    Code(21, "key-not-pinned", _R, "key not pinned for this role", "0",
         "Sign releases with an offline key and heads with the online key of the keys file on "
         "this board."),
    Code(22, "wrong-signature", _R, "signature is wrong", "0",
         "The document was altered or signed by another key; sign and publish it again."),
    Code(23, "wrong-kind", _R, "another kind of document", "0",
         "The server's files are mixed up; publish the release again."),
    Code(24, "unknown-format", _R, "format not known", "format",
         "The document is newer than this board's twoslot; bring twoslot up to date over USB."),
    Code(25, "wrong-product", _R, "another product", "0",
         "Check `product` in twoslot.json against the release."),
    Code(26, "wrong-board", _R, "not for this board", "0",
         "Check `board` in twoslot.json, or build the release with --board for it."),
    Code(27, "wrong-channel", _R, "not for this channel", "0",
         "Build the release with --channel for it, or change `channel` in twoslot.json."),
    Code(28, "up-to-date", _R, "counter not above the running one", "counter",
         "The board is up to date; `slotbench ship` offers it a newer release. To go back, ship the old "
         "firmware: it gets a higher counter. Where its littlefs is older than the board's (77), ship the "
         "old application on a newer firmware."),
    Code(29, "below-floor", _R, "counter below the floor", "counter",
         "A confirmed release set a floor; build the firmware under a counter at or above it."),
    Code(30, "marked-bad", _R, "counter marked bad", "counter",
         "It failed on this board before; publish a fixed release with a higher counter, or "
         "call update(force=True)."),
    Code(31, "filesystem-elsewhere", _R, "filesystem starts elsewhere", "its start",
         "Use an image with the board's filesystem start: for generic_4m the default 2 MiB "
         "build, not FLASH_1M."),
    Code(32, "mpy-version", _R, "`.mpy` version differs from the installed twoslot's", "its version",
         "Freeze twoslot into the firmware of both slots (host/docs/firmware.md), and run `slotbench "
         "deploy`, which takes the files away: then any version will do."),
    Code(33, "filesystem-version", _R, "the fallback could not mount its filesystem", "its version",
         "It writes a newer littlefs, which the firmware in the other slot could not mount: after a fallback "
         "the board would stop before boot.py. Build it with --fs-upgrade where no way back is needed."),
    Code(34, "head-expired", _R, "head has expired", "expires",
         "Sign the heads again, from a timer: `slotbench release publish --refresh SITE --key ONLINE.pem "
         "--keys PRODUCT.keys`. If boards saw a date in the future, of a head or a release, use --repair in "
         "place of --refresh. A board whose own clock is ahead has to set it."),
    Code(35, "head-outdated", _R, "head is older than one already seen", "seq",
         "An old copy is served: clear the cache in between. Where the site itself was restored, emptied or "
         "made anew: `slotbench release publish --repair SITE --key ONLINE.pem --keys PRODUCT.keys`. If that "
         "does not help, add --above SEQ, the head seq in the board's `slotbench status`."),
    Code(36, "image-too-long", _R, "image longer than the slot", "length",
         "Use a smaller image; `slotbench release build` checks this for the boards named."),
    Code(37, "head-mismatch", _R, "head and release do not belong together", "counter",
         "The directory was half copied; publish again and copy the heads last."),
    Code(38, "no-image-for-slot", _R, "no image for the spare slot", "slot",
         "The release lacks the image linked for this slot; build it with both."),
    Code(39, "not-in-rollout", _R, "not in the rollout yet", "percent",
         "Wait, raise --percent, add the board's cohort, or call update(force=True)."),
    Code(40, "paused", _R, "paused", "0",
         "The channel is paused; publish without --paused, or call update(force=True)."),
    Code(41, "unproven", _R, "trials used up without proof", "rounds",
         "The release never reached its health check here; look for power and network faults. The board "
         "tries again at a newer head, after three days, or by update(force=True)."),
    Code(42, "head-epoch", _R, "head of another key epoch", "epoch",
         "Publish heads with the online key of the newest keys file, and put all keys files on the "
         "server, as `slotbench release publish` does."),
    Code(43, "image-mismatch", _R, "image differs from its digest though every block is right", "0",
         "The release contradicts itself; build, sign and publish it again."),
    Code(44, "quiet-hours", _R, "quiet hours", "hour (UTC) at which they end",
         "Wait until then, or call update(force=True); `quiet` in twoslot.json sets them."),
    Code(45, "keys-epoch", _R, "keys document of another epoch than the next", "its epoch",
         "The server's keys files are mixed up; run `slotbench release publish --refresh` with the "
         "newest keys file."),
    Code(46, "identity-refused", _L, "refused by the server's check of identities", "status",
         "401: deploy the board with --identities FILE; 403: the file that the server has knows no "
         "such board, or another secret."),
    Code(47, "never-reached", _R, "its trial never reached the boot hook", "counter",
         "The firmware hangs or restarts before boot.py, or power was cut in that second. Publish a newer "
         "head or a mended release; update(force=True) tries this one again."),
    Code(48, "no-time", _L, "no time from the NTP server", "errno, or 0: it is before what was signed",
         "Set `ntp` in twoslot.json to a server that answers (UDP, port 123), or leave it out: without a "
         "clock a board updates as well. -2: its name cannot be resolved."),
    Code(49, "no-twoslot", _R, "no twoslot in the firmware, and none but a frozen one here", "0",
         "Freeze twoslot into the firmware (host/docs/firmware.md) and build the release again; `slotbench "
         "inspect` says what is inside. Or put twoslot onto the board as files: `slotbench deploy "
         "--files`. A rollback goes to such a firmware only then, too."),
    Code(50, "patch-unusable", _L, "patch cannot be used; the blocks are fetched instead", "block",
         "The board updates all the same. If it repeats, publish the release again: the file in "
         "patches/ is damaged, or a cache has another one of that name."),
    Code(51, "port-unavailable", _L, "cannot listen on the port", "errno",
         "Something of your program listens on port 8267 already (98), or all sockets are in use; "
         "close it, then listen() again."),
    Code(52, "unknown-request", _L, "not a request that push knows", "length of the document, or line",
         "Push with `slotbench push` of the version that the board's twoslot is from."),
    Code(53, "stale-challenge", _L, "the challenge is unknown, or older than a minute", "0",
         "Push again; when it repeats, somebody else asks this board too."),
    Code(54, "wrong-secret", _L, "wrong secret", "wrong ones so far",
         "Give the secret that lies on this board as twoslot.secret; after three wrong ones "
         "listen() again."),
    Code(55, "busy", _L, "an update is under way", "0",
         "Wait until it has ended, then push again."),
    Code(56, "development-key", _F, "the development key cannot be read", "0",
         "Deploy it again: `slotbench deploy --development-key FILE`."),
    Code(60, "flash-mismatch", _F, "a sector does not hold what was written", "address",
         "The flash is worn out or the supply is weak; check the supply, then replace the board."),
    Code(61, "journal-worn", _F, "the journal cannot be written", "address",
         "The flash is worn out or the supply is weak; the board keeps running what it has."),
    Code(62, "flash-call", _F, "flash call failed", "errno",
         "Check the supply; on a clone module, flash it in DIO mode at 40 MHz."),
    Code(63, "not-confirmed", _F, "the running slot is not confirmed", "state",
         "Call confirm() once the firmware is healthy; no update begins before."),
    Code(64, "no-boot-record", _F, "the loader left no word of what it started", "0",
         "Flash the loader, and keep RTC().memory() at or below 452 bytes."),
    Code(65, "no-other-slot", _F, "no other slot to go back to", "reason",
         "The other slot is empty or bad; install a release first."),
    Code(66, "chip-too-small", _F, "chip smaller than the map", "its bytes",
         "The board's flash chip is smaller than its board file says; choose a board file that "
         "fits."),
    Code(67, "no-sleep-in-trial", _F, "no deep sleep in a trial", "0",
         "Call confirm() once the firmware is healthy, then sleep."),
    Code(70, "settings", _F, "settings cannot be read", "0: the file, else the setting (settings.md)",
         "Correct twoslot.json on the board: one JSON object with product, board, channel and "
         "server."),
    Code(71, "pinned-keys", _F, "pinned keys cannot be read, or written", "0, else number of the copy",
         "Deploy the product's keys file over USB (`slotbench deploy --keys`), and see that its "
         "filesystem has room."),
    Code(72, "no-descriptor", _F, "the running slot has no descriptor", "slot",
         "Deploy the board again over USB; its slots were written without twoslot."),
    Code(73, "no-flash-map", _F, "the flash map in the loader's sector cannot be read", "its address",
         "Set the board up over USB: `slotbench flash --from-stock` where it has plain MicroPython, else "
         "`slotbench flash` with a firmware. Both write the map with the loader."),
    Code(74, "secret", _F, "identity cannot be read", "0",
         "Deploy the board over USB with --identities FILE; --new-identity where it has one."),
    Code(75, "before-restart", _F, "the application's function raised an exception", "0",
         "Mend the function that your program gives to twoslot.before_restart(). The board restarted all "
         "the same."),
    Code(76, "no-boot-hook", _F, "boot.py does not run the boot hook", "errno, or 0",
         "Without the hook a trial has no deadline, and nothing is installed. Correct boot.py and see that "
         "twoslot_boot.py is there, or run slotbench deploy --port; then restart the board."),
    Code(77, "driver-too-old", _R, "its driver cannot mount the filesystem", "version on flash",
         "The board would stop before boot.py. Publish a firmware that is as new as the one that runs: "
         "MicroPython 1.22 and later write littlefs 2.1."),
    Code(78, "stack", _F, "the program left too little of the stack", "1: not even one call fitted",
         "Call twoslot.tick() from fewer nested functions: device/docs/memory.md, stack. The next start "
         "checks before main.py."),
    Code(79, "unexpected", _F, "something that twoslot did not expect", "errno, else 0",
         "Report it with the output of twoslot.log(). The check is repeated as after any failure."),
    Code(80, "app-firmware", _R, "application does not fit the firmware", "counter of the firmware",
         "Ship firmware and application together, or an application whose range of firmware counters holds "
         "the one that runs (`slotbench status`), compiled for its .mpy version."),
    Code(81, "app-data", _R, "application cannot read the data of a later one", "its data number",
         "The board has confirmed an application with a higher data number. Ship one that reads its files "
         "in /data, with that number or a higher one."),
    Code(82, "file-list", _R, "file list breaks a rule", "line; 0: as a whole",
         "Build the application again with `slotbench`, sign it and publish it."),
    Code(83, "no-room", _F, "too little room in the filesystem", "blocks of 4 KB missing",
         "Remove files from the board, or make the application smaller: both folders must fit. `slotbench "
         "status` shows what is free."),
    Code(84, "file-mismatch", _L, "file differs from the file list", "line; 0: the list itself",
         "The server hands out another file, or the network damaged it. The board tries again and keeps the "
         "files it has; if it repeats, publish the application again."),
    Code(85, "frozen-main", _R, "a frozen main.py hides the application", "0",
         "MicroPython runs a frozen main.py in place of the application's. Build the firmware without it, "
         "or ship the program inside the firmware as before."),
    Code(86, "twoslot-unproven", _F, "a new twoslot has not reached its server yet", "0",
         "The application brought a new twoslot. Run twoslot.check() while the server can be reached, then "
         "twoslot.confirm() again."),
)
