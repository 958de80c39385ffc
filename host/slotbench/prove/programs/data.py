"""Programs that work with files, data and the language."""

from __future__ import annotations

from typing import Final

from slotbench.prove.programs.program import Program, program

__all__ = ["PROGRAMS"]

_file = program("Files")
_data = program("Data and language")

PROGRAMS: Final[tuple[Program, ...]] = (
    _file(
        "write-read", "Write a log and read it", """
        with open('log.txt', 'w') as f:
            f.write('one\\n')
        with open('log.txt', 'a') as f:
            f.write('two\\n')
        print([line.strip() for line in open('log.txt')])
        """, "['one', 'two']"),
    _file(
        "folders", "Make, list, rename and remove", """
        import os
        os.mkdir('d')
        open('d/a', 'w').close()
        os.rename('d/a', 'd/b')
        print(os.listdir('d'), os.stat('d/b')[6])
        os.remove('d/b')
        os.rmdir('d')
        print('d' in os.listdir())
        """, "['b'] 0\nFalse"),
    _file(
        "settings", "Keep settings as JSON", """
        import json
        with open('settings.json', 'w') as f:
            json.dump({'ssid': 'home', 'hours': [7, 22.5]}, f)
        with open('settings.json') as f:
            print(json.load(f)['hours'])
        """, "[7, 22.5]"),
    _file(
        "import", "Import a module of one's own", """
        import os, sys
        try:
            os.mkdir('lib')
        except OSError:
            pass
        with open('lib/lamp.py', 'w') as f:
            f.write('def name():\\n    return __name__\\n')
        import lamp
        print(lamp.name())
        """, "lamp"),
    _file(
        "space", "Ask how much room is left", """
        import os
        size, _, blocks, free = os.statvfs('/')[:4]
        print(size, free < blocks, free * size > 100000)
        """, "4096 True True"),
    _file(
        "database", "Keep records in btree", """
        import btree
        f = open('db', 'w+b')
        db = btree.open(f)
        db[b'2'] = b'two'
        db[b'1'] = b'one'
        db.flush()
        print(list(db.items()))
        db.close()
        f.close()
        """, "[(b'1', b'one'), (b'2', b'two')]"),
    _data(
        "struct", "Pack bytes", """
        import struct, binascii
        data = struct.pack('<HbI', 513, -2, 7)
        print(binascii.hexlify(data), struct.unpack('<HbI', data))
        print(binascii.b2a_base64(b'lamp').strip())
        """, "b'0102fe07000000' (513, -2, 7)\nb'bGFtcA=='"),
    _data(
        "hash", "Hash and encrypt", """
        import hashlib, binascii, cryptolib
        print(binascii.hexlify(hashlib.sha256(b'abc').digest())[:16])
        key = bytes(range(16))
        secret = cryptolib.aes(key, 1).encrypt(b'sixteen bytes...')
        print(cryptolib.aes(key, 1).decrypt(secret))
        """, "b'ba7816bf8f01cfea'\nb'sixteen bytes...'"),
    _data(
        "patterns", "Match and format text", """
        import re
        found = re.match('(\\\\w+)=(\\\\d+)', 'lamp=42')
        print(found.group(1), int(found.group(2)), '{:>6.2f}|'.format(3.14159), f'{7:03d}')
        """, "lamp 42   3.14| 007"),
    _data(
        "random", "Draw random numbers", """
        import random, os
        random.seed(1)
        first = [random.getrandbits(8) for _ in range(4)]
        random.seed(1)
        print(first == [random.getrandbits(8) for _ in range(4)], len(os.urandom(8)))
        """, "True 8"),
    _data(
        "framebuf", "Draw in a frame buffer", """
        import framebuf
        buffer = framebuf.FrameBuffer(bytearray(8), 8, 8, framebuf.MONO_VLSB)
        buffer.fill_rect(1, 1, 3, 3, 1)
        print(buffer.pixel(2, 2), buffer.pixel(5, 5))
        """, "1 0"),
    _data(
        "native", "Speed up with native and viper", """
        import micropython
        @micropython.native
        def twice(x):
            return 2 * x
        @micropython.viper
        def total(data: ptr8, count: int) -> int:
            value = 0
            for i in range(count):
                value += data[i]
            return value
        print(twice(21), total(b'\\x01\\x02\\x03', 3))
        """, "42 6"),
    _data(
        "memory", "Look at the heap", """
        import gc, micropython
        gc.collect()
        before = gc.mem_free()
        data = bytearray(1000)
        print(10000 < before < 38912, 1000 <= before - gc.mem_free() < 1100)
        """, "True True"),
    _data(
        "numbers", "Calculate", """
        import math
        print(round(math.sin(1), 4), 2 ** 100 % 97, 7 // -2, round(10 / 3, 3))
        """, "0.8415 16 -4 3.333"),
    _data(
        "errors", "Catch and print an error", """
        import sys
        try:
            {}['x']
        except KeyError as error:
            sys.print_exception(error)
        """, 'Traceback (most recent call last):\n  File "<stdin>", line 3, in <module>\nKeyError: x'),
    _data(
        "identity", "Ask who the board is", """
        import machine, os, esp, sys
        print(len(machine.unique_id()), sys.platform, os.uname().sysname, esp.flash_size() >= 1 << 20)
        """, "4 esp8266 esp8266 True"),
)
