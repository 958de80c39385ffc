# A relay that MQTT switches, and that says so.
import time
from machine import Pin
from umqtt.simple import MQTTClient

import twoslot

BROKER, PORT = "192.168.4.2", 1883
relay = Pin(5, Pin.OUT, value=0)


def told(topic, message):
    relay(message == b"on")


def connected():
    client = MQTTClient("relay", BROKER, PORT, keepalive=60)
    client.set_callback(told)
    client.connect()
    client.subscribe(b"relay/set")
    return client


client, count = None, 0
while True:
    twoslot.tick()
    try:
        client = client or connected()
        client.check_msg()
        count += 1
        if count % 20 == 0:
            client.publish(b"relay/set", b"off" if relay() else b"on")
    except OSError:
        client = None
    time.sleep_ms(50)
