# A web page switches a lamp; the loop never waits for a browser.
import socket
import time
from machine import Pin

import twoslot

lamp = Pin(5, Pin.OUT, value=0)
door = socket.socket()
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
door.bind(("0.0.0.0", 80))
door.listen(1)
door.setblocking(False)


def served(browser):
    browser.settimeout(2)
    path = browser.readline().split()[1]
    while browser.readline().strip():
        pass
    if path in (b"/on", b"/off"):
        lamp(path == b"/on")
    browser.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n")
    browser.write(b"<a href=/on>on</a> <a href=/off>off</a> the lamp is %s\n" % (b"on" if lamp() else b"off"))


while True:
    twoslot.tick()
    browser = None
    try:
        browser = door.accept()[0]
        served(browser)
    except (OSError, IndexError):
        pass
    if browser:
        browser.close()
    time.sleep_ms(20)
