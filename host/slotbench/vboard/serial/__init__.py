"""The serial port of a virtual board: what esptool, mpremote and a terminal find behind it.

A transport (pty, TCP, RFC 2217) carries bytes to the `Uart`; behind that is the ROM's download
mode, or the application.
"""
