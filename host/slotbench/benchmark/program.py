"""The C source of a program that looks like firmware, and how it changes from build to build.

Nobody wrote it: functions, tables and texts are drawn from a seed, and each build makes one change that
developers make. What is drawn is kept as numbers, one a statement, so that a change touches nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["CHANGES", "HEADER", "GrowingProgram"]

CHANGES: Final = (
    "a constant", "a line", "a text", "a function", "lines of a module", "a table", "a module",
)
"""What a build changes, beside the text with its number."""
_WORDS: Final = (
    "timer", "sensor", "socket", "buffer", "queue", "network", "station", "address", "pin", "value", "retry",
    "stored", "page", "record", "length", "invalid", "missing", "closed", "ready", "index")
HEADER: Final = """\
typedef int (*handler_t)(int, int);
struct state { int mode, count; unsigned char bytes[24]; struct state *next; };
extern struct state states[16];
extern void report(const char *text, int value);
"""


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement by the seed of its text; `step` is added to its constants."""

    seed: int
    step: int = 0


class GrowingProgram:
    """So many modules of so many functions. `change` makes it the next build."""

    def __init__(self, seed: int, modules: int, functions: int = 16) -> None:
        self.build = 1
        self._rng = random.Random(seed)
        self.modules = [
            {f"f{number}_{index}": self._body() for index in range(functions)} for number in range(modules)]
        self.tables = [self._rng.randrange(24, 60) for _ in range(modules)]

    def change(self, what: str) -> None:
        """Make one of CHANGES somewhere, and count up the build."""
        self.build += 1
        rng, module = self._rng, self._rng.randrange(1, len(self.modules) - 1)
        bodies = self.modules[module]
        if what == "a table":
            self.tables[module] += 3
        elif what == "a function":
            names = list(bodies)
            grown = {f"f{module}_{names[0][1:]}_{self.build}": self._body()}
            at = rng.randrange(len(names))
            self.modules[module] = {
                name: body for name, body in [
                    *((name, bodies[name]) for name in names[:at]), *grown.items(),
                    *((name, bodies[name]) for name in names[at:])]}
        elif what == "a module":
            for body in bodies.values():
                body[rng.randrange(len(body))] = self._statement()
                body.insert(rng.randrange(len(body)), self._statement())
        else:
            count = 6 if what == "lines of a module" else 1
            for body in rng.sample(list(bodies.values()), count):
                at = rng.randrange(len(body))
                if what in ("a constant", "a text"):
                    body[at] = _Statement(body[at].seed, body[at].step + 1)
                else:
                    body.insert(at, self._statement())

    def sources(self) -> Iterator[tuple[str, str]]:
        """(name, C text) of each file, with `HEADER` before it."""
        names = [name for bodies in self.modules for name in bodies]
        stable = [name for name in names if name.count("_") == 1]
        known = "".join(f"int {name}(int, int);\n" for name in stable)
        called = stable[len(self.modules[0]):]  # not what runs from RAM
        for number, bodies in enumerate(self.modules):
            body = "".join(
                f"int {name}(int x, int y)\n{{\n    struct state *s = &states[(x ^ {number}) & 15];\n"
                + "".join(f"    {_text(statement, number, called)}\n" for statement in statements)
                + "    return x + y;\n}\n" for name, statements in bodies.items())
            yield f"m{number}.c", HEADER + known + _table(number, self.tables[number]) + body
        table = ", ".join(names)
        everything = "".join(f"int {name}(int, int);\n" for name in names)
        yield "report.c", HEADER + (
            "void report(const char *text, int value) { states[*text & 15].count = value; }\n")
        yield "main.c", (
            f"{HEADER}{everything}struct state states[16] = {{{{1, 2}}}};\n"
            f"const handler_t handlers[] = {{{table}}};\n"
            f'const char *const built = "firmware v1.{self.build} on build {self.build:04}";\n'
            "void start(void)\n{\n    report(built, 0);\n"
            f"    for (unsigned i = 0; i < {len(names)}; i++)\n"
            "        states[i & 15].count += handlers[i](i, 3);\n}\n")

    def _body(self) -> list[_Statement]:
        return [self._statement() for _ in range(self._rng.randrange(6, 16))]

    def _statement(self) -> _Statement:
        return _Statement(self._rng.getrandbits(48))


def _table(number: int, length: int) -> str:
    rng = random.Random(number)
    values = ", ".join(str(rng.randrange(65536)) for _ in range(length))
    return f"static const unsigned short table[] = {{{values}}};\n"


def _text(statement: _Statement, module: int, names: list[str]) -> str:
    """The C text of a statement."""
    rng = random.Random(statement.seed)
    number = rng.randrange(1, 4000) + statement.step
    # Most calls stay among neighbours, as they do in programs.
    near = [name for name in names if abs(int(name[1:].partition("_")[0]) - module) <= 2]
    called = rng.choice(near if rng.random() < 0.7 else names)
    words = " ".join(rng.choices(_WORDS, k=rng.randrange(2, 6))) + "." * statement.step
    return rng.choice((
        f"if (x > {number}) y += {called}(y, x); else x -= {number & 255};",
        f'if ((x & {number & 31}) == 3) {{ report("{words}: %d", y); return -{number & 63}; }}',
        f"for (int i = 0; i < (y & 15); i++) x += table[i + {number & 7}] * y;",
        f"s->bytes[{number % 24}] = (unsigned char)(x >> {number & 15}); y ^= s->count;",
        f"x = (x << {number & 7}) ^ (y >> {number & 3});",
        f"switch (y & 7) {{ case 0: x = {called}(x, {number}); break; case 1: s->mode = y; break; "
        f"case 2: x ^= {number}; break; case 3: y = s->count; break; case 5: x -= y; break; "
        f"default: y += {number & 127}; }}",
        f"while (s->next && s->count < {number}) s = s->next;",
        f"y = {called}(x + {number & 63}, s->mode);",
        f"if (s->mode != {number & 15} && x) s->count = {called}(y, {number});",
    ))
