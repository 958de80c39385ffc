# Freezes the sources of twoslot as they are. `slotbench deploy --to-folder DIR` writes a better one, to
# DIR/frozen: it has constants by value, which saves a kilobyte of heap.
metadata(version="0.1.0", description="Over-the-air updates with two slots for the ESP8266", license="MIT")
package("twoslot")
module("twoslot_boot.py")
