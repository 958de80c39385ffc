"""Programs that use Wi-Fi and the network."""

from __future__ import annotations

from typing import Final

from slotbench.prove.programs.program import Program, program

__all__ = ["PROGRAMS"]

_make = program("Network")
_HOST: Final = "192.168.4.2"


def _net(name: str, does: str, source: str, prints: str, **more: object) -> Program:
    return _make(name, does, source, prints, network=True, **more)


PROGRAMS: Final[tuple[Program, ...]] = (
    _net(
        "wifi", "Connect to Wi-Fi", """
        import network, time
        wlan = network.WLAN(network.STA_IF)
        wlan.active(True)
        if not wlan.isconnected():
            wlan.connect('home', 'secret')
            while not wlan.isconnected():
                time.sleep_ms(100)
        print(wlan.ifconfig()[0] != '0.0.0.0', wlan.status() == network.STAT_GOT_IP)
        """, "True True"),
    _net(
        "wifi-lost", "Disconnect, and connect again", """
        import network
        wlan = network.WLAN(network.STA_IF)
        wlan.disconnect()
        print(wlan.isconnected(), wlan.status() == network.STAT_IDLE)
        wlan.connect('home', 'secret')
        print(wlan.isconnected(), wlan.config('essid'))
        """, "False True\nTrue home"),
    _net(
        "wifi-scan", "Scan for networks", """
        import network
        wlan = network.WLAN(network.STA_IF)
        wlan.active(True)
        for name, bssid, channel, rssi, security, hidden in wlan.scan():
            print(name, len(bssid), 1 <= channel <= 13, -100 < rssi < 0)
        """, "b'slotbench' 6 True True"),
    _net(
        "access-point", "Open an access point", """
        import network
        ap = network.WLAN(network.AP_IF)
        ap.active(True)
        ap.config(essid='lamp', password='secret123')
        print(ap.active(), ap.config('essid'), ap.ifconfig()[0])
        """, "True lamp 192.168.4.1"),
    _net(
        "static-address", "Set a fixed address", """
        import network
        wlan = network.WLAN(network.STA_IF)
        wlan.ifconfig(('192.168.4.9', '255.255.255.0', '192.168.4.2', '192.168.4.3'))
        print(wlan.ifconfig())
        """, "('192.168.4.9', '255.255.255.0', '192.168.4.2', '192.168.4.3')"),
    _net(
        "mac", "Read the MAC address", """
        import network, binascii
        wlan = network.WLAN(network.STA_IF)
        print(binascii.hexlify(wlan.config('mac'))[:6], wlan.status('rssi') < 0)
        """, "b'18fe34' True"),
    _net(
        "tcp", "Talk to a TCP server", f"""
        import socket
        s = socket.socket()
        s.connect(('{_HOST}', SERVER))
        s.write(b'hello\\n')
        print(s.readline())
        s.close()
        """, "b'HELLO\\n'"),
    _net(
        "udp", "Send datagrams", f"""
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.sendto(b'abc', ('{_HOST}', SERVER))
        print(s.recvfrom(16))
        s.close()
        """, "(b'cba', ('192.168.4.2', SERVER))"),
    _net(
        "names", "Look a name up", """
        import socket
        print(socket.getaddrinfo('example.org', 80)[0][-1])
        """, "('192.168.4.2', 80)"),
    _net(
        "http", "Get a web page with requests", """
        import requests
        answer = requests.get('http://lamp.example:SERVER/state')
        print(answer.status_code, answer.text)
        answer.close()
        """, "200 lamp is on"),
    _net(
        "http-post", "Post JSON with requests", """
        import requests
        answer = requests.post('http://lamp.example:SERVER/log', json={'t': 21.5})
        print(answer.json())
        answer.close()
        """, "{'t': 21.5}"),
    _net(
        "select", "Wait for a socket with poll", f"""
        import select, socket
        s = socket.socket()
        s.connect(('{_HOST}', SERVER))
        poll = select.poll()
        poll.register(s, select.POLLIN)
        print(poll.poll(50))
        s.write(b'x\\n')
        print(len(poll.poll(5000)), s.readline())
        s.close()
        """, "[]\n1 b'X\\n'"),
    _net(
        "listen", "Listen for a connection", """
        import socket
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('', 80))
        s.listen(1)
        s.settimeout(0.2)
        try:
            s.accept()
        except OSError as error:
            print(error)
        s.close()
        """, "[Errno 110] ETIMEDOUT"),
    _net(
        "asyncio-server", "Serve with asyncio", f"""
        import asyncio
        async def served(reader, writer):
            writer.write(b'you said ' + await reader.readline())
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        async def main():
            server = await asyncio.start_server(served, '0.0.0.0', 8080)
            reader, writer = await asyncio.open_connection('{_HOST}', SERVER)
            writer.write(b'hi\\n')
            await writer.drain()
            print(await reader.readline())
            writer.close()
            await writer.wait_closed()
            server.close()
        asyncio.run(main())
        """, "b'HI\\n'"),
    _net(
        "ntp", "Set the clock by NTP", """
        import ntptime, time
        ntptime.settime()
        print(time.time() > 820000000)
        """, "True"),
    _net(
        "mqtt", "Publish and subscribe by MQTT", f"""
        from umqtt.simple import MQTTClient
        client = MQTTClient('lamp', '{_HOST}', SERVER)
        client.set_callback(lambda topic, message: print(topic, message))
        client.connect()
        client.subscribe(b'lamp/set')
        client.publish(b'lamp/set', b'on')
        client.wait_msg()
        client.disconnect()
        """, "b'lamp/set' b'on'"),
    _net(
        "mqtt-robust", "Publish by umqtt.robust, acknowledged", f"""
        from umqtt.robust import MQTTClient
        client = MQTTClient('lamp', '{_HOST}', SERVER)
        client.set_callback(lambda topic, message: print(message))
        client.connect()
        client.publish(b'lamp/log', b'21.5', qos=1)
        client.wait_msg()
        client.disconnect()
        print('done')
        """, "b'21.5'\ndone"),
    _net(
        "webrepl", "Start WebREPL", """
        import webrepl
        webrepl.start(password='secret')
        webrepl.stop()
        """, "WebREPL server started on http://192.168.4.1:8266/\nStarted webrepl in manual override mode"),
)
