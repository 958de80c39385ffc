"""MicroPython's own tests, run on the emulated chip and on the MicroPython VM of the bench."""
