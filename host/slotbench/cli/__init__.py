"""The command `slotbench`: its verbs, and the one place that turns errors into exit codes.

Each verb is a click command in a module of its own. `_VERBS` names it, and it is imported when it
is called. A verb parses its arguments and prints; functions outside this package do the work and
know nothing of click. Exit codes: 0 success, 1 a check failed, 2 wrong usage or environment, 3 a
defect of slotbench.
"""

from __future__ import annotations

import errno
import logging
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import NoReturn

import click

from slotbench import __version__
from slotbench.errors import DEFECT, USAGE, BenchError
from slotbench.interrupts import StoppedByUser
from slotbench.terminal import safe_output

_VERBS = {
    "backup": "slotbench.cli.backup:backup",
    "board": "slotbench.cli.board:board",
    "check": "slotbench.cli.check:check",
    "demo": "slotbench.cli.demo:demo",
    "deploy": "slotbench.cli.deploy:deploy",
    "explain": "slotbench.cli.explain:explain",
    "flash": "slotbench.cli.flash:flash",
    "inspect": "slotbench.cli.inspect:inspect",
    "keys": "slotbench.cli.keys:keys",
    "log": "slotbench.cli.log:log",
    "preflight": "slotbench.cli.preflight:command",
    "prove": "slotbench.cli.prove:prove",
    "push": "slotbench.cli.push:push",
    "release": "slotbench.cli.release:release",
    "restore": "slotbench.cli.restore:restore",
    "rollback": "slotbench.cli.rollback:rollback",
    "serve": "slotbench.cli.serve:serve",
    "status": "slotbench.cli.status:status",
    "unflash": "slotbench.cli.unflash:unflash",
    "update": "slotbench.cli.update:update",
}
_SERVER = "slotbench.server"
_INTERRUPTED = 130
"""The exit code that shells expect of a command that Ctrl-C ended."""
_GO_ON = "run the same command again: it continues, or starts anew"


_ENVIRONMENT = frozenset({
    errno.EACCES, errno.EDQUOT, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENFILE, errno.ENOSPC,
    errno.EPERM, errno.EROFS})
"""What the computer refuses, wherever it happens: no defect of slotbench."""


@dataclass(slots=True)
class _Invocation:
    """What the error handling needs to know of the command line."""

    verbosity: int = 0


class _Verbs(click.Group):
    """A group that imports a verb's module when the verb is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, _, name = _VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


class _EchoHandler(logging.Handler):
    """Log records as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        # A server's lines are read days later.
        is_server = record.name.startswith(_SERVER)
        when = f"{datetime.fromtimestamp(record.created):%Y-%m-%d %H:%M:%S} " if is_server else ""
        click.echo(f"{when}slotbench: {self.format(record)}", err=True)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slotbench", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", count=True, help="Print more; twice: with tracebacks.")
@click.pass_obj
def _group(invocation: _Invocation, verbose: int) -> None:
    """Build, sign and serve releases for ESP8266 boards, and run a virtual one."""
    invocation.verbosity = verbose
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    logging.getLogger("slotbench").setLevel(levels[min(verbose, 2)])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit the process."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, say on stderr what went wrong, and return the exit code.

    What it prints has no control characters, whoever said it.
    """
    with safe_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    invocation = _Invocation()
    logger, handler = logging.getLogger("slotbench"), _EchoHandler()
    level = logger.level
    logger.addHandler(handler)
    try:
        result = _group.main(arguments, prog_name="slotbench", standalone_mode=False, obj=invocation)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        _say(_usage_line(error), invocation)
        return USAGE
    except (click.Abort, KeyboardInterrupt, StoppedByUser):
        click.echo(f"slotbench: stopped; {_GO_ON}", err=True)
        return _INTERRUPTED
    except BenchError as error:
        _say(str(error), invocation)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return USAGE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
            named = f": {error.filename}" if error.filename else ""
            cure = "check the path, its rights, and the space that is left"
            _say(f"{error.strerror}{named}; {cure}", invocation)
            return USAGE
        what = f"defect in slotbench: {type(error).__name__}: {error}"
        _say(f"{what}; run it again with -vv and report it", invocation)
        return DEFECT
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _say(line: str, invocation: _Invocation) -> None:
    if invocation.verbosity > 1:
        click.echo(traceback.format_exc(), err=True, nl=False)
    click.echo(f"slotbench: {' '.join(line.split())}", err=True)


def _usage_line(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "slotbench"
    return f"{error.format_message().rstrip('.')}; see `{path} --help`"
