"""The command `slotbench`: its verbs, and the one place that turns errors into exit codes.

Each verb is a click command in a module of its own. `slotbench.cli.verbs` names it, and it is imported
when it is called. A verb parses its arguments and prints; functions outside this package do the work
and know nothing of click. Exit codes: 0 success, 1 a check failed, 2 wrong usage or environment, 3 a
defect of slotbench, 130 stopped by Ctrl-C. With --json an error is part of the one object on stdout, too.
"""

from __future__ import annotations

import errno
import json
import logging
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

import click

from slotbench import __version__
from slotbench.cli.invocation import Invocation
from slotbench.cli.json_output import envelope
from slotbench.cli.lazy_group import LazyGroup
from slotbench.cli.verbs import VERBS
from slotbench.errors import DEFECT, INTERRUPTED, USAGE, BenchError
from slotbench.interrupts import StoppedByUser
from slotbench.terminal import RED, YELLOW, echo_colored, safe_output

_SERVER = "slotbench.server"
_JSON = "--json"
_GO_ON = "run the same command again: it continues, or starts anew"


_ENVIRONMENT = frozenset({
    errno.EACCES, errno.EDQUOT, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENFILE, errno.ENOSPC,
    errno.EPERM, errno.EROFS})
"""What the computer refuses, wherever it happens: no defect of slotbench."""


class _EchoHandler(logging.Handler):
    """Log records as lines on stderr: for people, or one JSON object each."""

    def __init__(self, invocation: Invocation) -> None:
        super().__init__()
        self._invocation = invocation

    def emit(self, record: logging.LogRecord) -> None:
        if self._invocation.json_log:
            click.echo(json.dumps({
                "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
                "level": record.levelname.lower(), "logger": record.name, "message": self.format(record),
            }), err=True)
            return
        # A server's lines are read days later.
        is_server = record.name.startswith(_SERVER)
        when = f"{datetime.fromtimestamp(record.created):%Y-%m-%d %H:%M:%S} " if is_server else ""
        color = YELLOW if record.levelno >= logging.WARNING else ""
        echo_colored(f"{when}slotbench: {self.format(record)}", color, sys.stderr)


@click.group(cls=LazyGroup, sections=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slotbench", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", count=True, help="Print more; twice: with tracebacks.")
@click.pass_obj
def _group(invocation: Invocation, verbose: int) -> None:
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
    invocation = Invocation()
    logger, handler = logging.getLogger("slotbench"), _EchoHandler(invocation)
    level = logger.level
    logger.addHandler(handler)
    failure: BenchError | None = None
    try:
        result = _group.main(arguments, prog_name="slotbench", standalone_mode=False, obj=invocation)
        code = result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except BrokenPipeError:
        sys.stderr.close()
        return USAGE
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        failure = _failure(error)
        code = failure.exit_code
        given = sys.argv[1:] if arguments is None else arguments
        invocation.as_json |= isinstance(error, click.UsageError) and _JSON in given
        if code != INTERRUPTED and invocation.verbosity > 1:
            click.echo(traceback.format_exc(), err=True, nl=False)
        echo_colored(f"slotbench: {' '.join(str(failure).split())}", RED, sys.stderr)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    if invocation.as_json:
        click.echo(envelope(invocation.verb, invocation.result, failure))
    return code


def _failure(error: BaseException) -> BenchError:
    """What the user is told of an error: what, where, a cure, and the exit code."""
    if isinstance(error, BenchError):
        return error
    if isinstance(error, click.Abort | KeyboardInterrupt | StoppedByUser):
        return BenchError("stopped", cure=str(error) or _GO_ON, exit_code=INTERRUPTED)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "slotbench"
        return BenchError(
            error.format_message().rstrip("."), cure=f"see `{path} --help`", exit_code=USAGE)
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
        return BenchError(
            str(error.strerror), where=str(error.filename or ""),
            cure="check the path, its rights, and the space that is left", exit_code=USAGE)
    return BenchError(
        f"defect in slotbench: {type(error).__name__}: {error}",
        cure="run it again with -vv and report it", exit_code=DEFECT)
