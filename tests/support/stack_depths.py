"""How deep a program gets on the C stack, in ways that differ: the same program for a chip and for the VM."""

from __future__ import annotations

import re

__all__ = ["DEPTHS", "depths_in"]

DEPTHS = """\
import gc, os, sys
def fill(name, text):
    with open(name, 'w') as f:
        f.write(text)
for i in range(9):
    fill('/nest%d.py' % i, 'import nest%d' % (i + 1) if i < 8 else 'x = 1')
fill('/leaf.py', 'x = 1')
fill('/big', 'x' * 5000)
def deepest(fn):
    gc.collect()
    n = 1
    while n < 40:
        try:
            fn(n)
        except RuntimeError:
            break
        n += 1
    return n - 1
def call(n):
    if n: call(n - 1)
def kw(n, **k):
    if n: kw(n - 1, a=1)
def gen(n):
    if n: yield from gen(n - 1)
    yield 1
def calc(n):
    if n: eval('calc(%d)' % (n - 1))
def handle(n):
    try:
        if n: handle(n - 1)
    finally:
        pass
def order(n):
    if n: sorted([1, 2], key=lambda x: order(n - 1) or 0)
class Thing:
    def method(self, n):
        if n: self.method(n - 1)
    def __init__(self, n=0):
        if n: Thing(n - 1)
def imports(n):
    for i in range(9):
        sys.modules.pop('nest%d' % i, None)
    __import__('nest%d' % (9 - n))
def under(fn):
    def go(n):
        if n: go(n - 1)
        else: fn()
    # What overflows inside of littlefs leaves wrong bytes in its cache.
    for i in range(3):
        try:
            os.listdir('/'), os.statvfs('/')
            with open('/big') as f:
                f.read(300)
        except OSError:
            pass
    fn()
    return deepest(go)
def read():
    with open('/leaf.py') as f: f.read()
def write():
    fill('/w', 'x' * 200)
def load():
    sys.modules.pop('leaf', None)
    import leaf
ways = [('call', call), ('method', Thing().method), ('init', Thing), ('kw', kw), ('try', handle), ('eval', calc)]
ways += [('gen', lambda n: list(gen(n))), ('sorted', order)]
for name, fn in ways:
    print('@depth', name, deepest(fn))
for name, fn in (('read', read), ('write', write), ('stat', lambda: os.stat('/leaf.py')), ('import', load)):
    print('@depth', name, under(fn))
print('@depth', 'imports', deepest(imports))
"""


def depths_in(printed: str) -> dict[str, int]:
    """What the program found: the deepest call of each kind that did not overflow."""
    return {name: int(depth) for name, depth in re.findall(r"@depth (\w+) (\d+)", printed)}
