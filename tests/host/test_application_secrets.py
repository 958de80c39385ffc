"""What looks like a password or token in a program, and what only looks like one to a careless reader."""

from __future__ import annotations

import pytest

from slotbench.application.secrets import find_secrets

KEY = "q7Zt0XvB2mLr9KdPw4Ys8NfHc1Ug"
PEM = "-----BEGIN RSA PRIVATE" + " KEY-----\n"


@pytest.mark.parametrize(("path", "text", "words"), [
    ("main.py", 'PASSWORD = "tulip-42"', "a password or token (PASSWORD)"),
    ("main.py", 'self.api_key = b"tulip-42"', "a password or token (api_key)"),
    ("main.py", 'SSID, PSK = "Haus17", "tulip-42"', "a Wi-Fi name (SSID)"),
    ("main.py", 'WIFI_PASS = "tulip-42"', "a Wi-Fi password (WIFI_PASS)"),
    ("main.py", 'wlan.connect("Haus17", "tulip-42")', "a Wi-Fi password"),
    ("main.py", 'config["wifi_pw"] = "tulip-42"', "a Wi-Fi password (wifi_pw)"),
    ("main.py", 'MQTT_PASSWORD = "tulip-42"', "the password of a broker (MQTT_PASSWORD)"),
    ("main.py", 'MQTTClient("lamp", host, user="lamp", password="tulip-42")', "a password or token (password)"),
    ("main.py", 'd = {"auth-token": "tulip-42"}', "a password or token (auth_token)"),
    ("main.py", 'def login(user, token="tulip-42"):\n    pass', "a password or token (token)"),
    ("main.py", 'get("http://lamp:tulip-42@example.org/x")', "a password in a URL"),
    ("main.py", f'h = {{"X-Key": "{KEY}"}}', "a text that looks like a key"),
    ("main.py", 'x = "ghp_' + "a1B2" * 6 + '"', "a token"),
    ("certs/key", PEM, "a private key"),
    ("certs/key.der", PEM + "\u00ff", "a private key"),
    ("config.json", '{"ssid": "Haus17",\n "password": "tulip-42"}', "a Wi-Fi name (ssid)"),
    ("conf.ini", "[mqtt]\npassword = tulip-42", "a password or token (password)"),
    ("conf.yaml", "api-key: tulip-42", "a password or token (api_key)"),
])
def test_what_looks_like_a_secret_is_named_with_its_line(path: str, text: str, words: str) -> None:
    data = text.encode("latin-1")
    found = find_secrets({"other.py": b"x = 1\n", path: b"\n" + data})
    assert found and (found[0].path, found[0].what) == (path, words)
    lines = data.decode("latin-1").splitlines()
    assert all(lines[each.line - 2] for each in found) and len({each.line for each in found}) == len(found)


@pytest.mark.parametrize(("path", "text"), [
    ("main.py", 'PASSWORD = ""'), ("main.py", "password = None"), ("main.py", 'PASSWORD = "********"'),
    ("main.py", 'PASSWORD = "your-password"'), ("main.py", 'ssid = "my_ssid"'), ("main.py", 'token = "<token>"'),
    ("main.py", 'token = json.load(open("/data/secrets.json"))["token"]'), ("main.py", 'TOKEN = "/data/token"'),
    ("main.py", 'TOKEN = "token.json"'), ("main.py", 'password = getpass("the password: ")'),
    ("main.py", 'print("password: tulip-42")'), ("main.py", '"""password = "tulip" """'),
    ("main.py", 'bypass = "tulip-42"'), ("main.py", 'compass = "north-42"'), ("main.py", 'tokenizer = "tulip-42"'),
    ("main.py", 'sock.connect(("example.org", 80))'), ("main.py", 'url = "http://example.org:80/a@b"'),
    ("main.py", 'x = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"'),
    ("main.py", 'SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"'), ("main.py", 'PASS = "\\x1b[92mPASS"'),
    ("main.py", 'SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"'),
    ("main.py", 'topic = "home/kitchen/Temperature/Sensor01"'), ("main.py", 'x = ssid + ":"'),
    ("main.py", 'PASSWORD = "tulip-42"  # not secret: the lamp\'s own network shows it'),
    ("conf.yaml", "password: tulip-42  # Not-Secret"), ("font.bin", "\u00ff\u00fepassword: tulip-42"),
    ("i.html", '<input type="password" name="password" value="">'), ("a.py", "def f(:\n"),
])
def test_what_is_none(path: str, text: str) -> None:
    assert find_secrets({path: text.encode("latin-1")}) == []


def test_each_says_where_such_things_belong() -> None:
    program = b'PSK = "tulip-42"\nMQTT_PASS = "tulip-42"\nTOKEN = "tulip-42"\n'
    assert [each.belongs for each in find_secrets({"main.py": program})] == [
        "slotbench deploy --wifi NAME puts it on the board, outside of the program",
        "twoslot.mqtt on the board has the login of the broker, outside of the program",
        "write it into a file outside of the program, such as /data/secrets.json, over the cable, and read it there"]
