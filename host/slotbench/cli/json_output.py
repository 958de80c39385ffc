"""What `--json` prints: one object of one shape, whatever the verb, also for an error.

    {"format": 1, "slotbench": "0.1.0", "verb": "status", "ok": true, "result": ..., "error": null}

`error` is null or has what, where, cure and exit_code. A check that fails has a result and an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, StrEnum
from typing import Any, TypeVar

import click

from slotbench import __version__
from slotbench.cli.invocation import Invocation
from slotbench.errors import BenchError

__all__ = [
    "add_result", "echo_result", "envelope", "is_json", "json_option", "plain", "result_json_option",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_FORMAT = 1


def json_option(command: _F) -> _F:
    """Add --json, as the argument `as_json`, for a verb that calls `echo_result`."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_begin,
        help="One JSON object instead of words.")(command)


def result_json_option(command: _F) -> _F:
    """Add --json for a verb that prints what it does in words and its results with `add_result`."""
    return click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=_begin,
        help="One JSON object instead of words.")(command)


def is_json() -> bool:
    """Whether this command prints JSON: words of people then go to stderr."""
    ctx = click.get_current_context(silent=True)
    invocation = ctx.find_object(Invocation) if ctx is not None else None
    return invocation is not None and invocation.as_json


def add_result(key: str, result: object) -> None:
    """Add an entry to the list `key` of the result that is printed when the command ends."""
    invocation = click.get_current_context().find_object(Invocation)
    assert invocation is not None
    invocation.result = invocation.result or {}
    invocation.result.setdefault(key, []).append(plain(result))


def echo_result(result: object) -> None:
    """Have the command print its result as JSON when it ends. Only with --json."""
    ctx = click.get_current_context()
    invocation = ctx.find_object(Invocation)
    if invocation is None:  # the verb was not called by `slotbench`
        click.echo(envelope(_verb(ctx), plain(result), None))
    else:
        invocation.result = plain(result)


def envelope(verb: str, result: Any, error: BenchError | None) -> str:
    """The object that is printed: `result` in the types of JSON, and what went wrong, if something did."""
    said = None
    if error is not None:
        said = {"what": error.what, "where": error.where, "cure": error.cure, "exit_code": error.exit_code}
    return json.dumps({
        "format": _FORMAT, "slotbench": __version__, "verb": verb, "ok": error is None, "result": result,
        "error": said}, indent=2)


def _begin(ctx: click.Context, parameter: click.Parameter, as_json: bool) -> bool:
    """Remember that JSON is asked for before another parameter can be refused."""
    invocation = ctx.find_object(Invocation)
    if invocation is not None:
        invocation.as_json = as_json
        invocation.verb = _verb(ctx)
    return as_json


def _verb(ctx: click.Context) -> str:
    return ctx.command_path.partition(" ")[2] or str(ctx.info_name)


def plain(value: object) -> Any:
    """`value` in the types of JSON: bytes as hex, enumerations by name in lower case, keys as the fields are
    called.
    """
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value
