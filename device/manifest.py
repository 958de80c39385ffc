# Freezes twoslot into a firmware: include() this file from the manifest of a MicroPython board.
metadata(version="0.1.0", description="Over-the-air updates with two slots for the ESP8266", license="MIT")
package("twoslot")
module("twoslot_boot.py")
