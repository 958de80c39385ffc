"""Options whose default is what slotbench.toml says, for verbs that run in a project folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from slotbench.boards import names as board_names
from slotbench.project import FIELDS, PROJECT_FILE, Project, find_project
from slotbench.serial_port import list_ports, usb_ports

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "PortOption", "ProjectArgument", "is_given", "project_of", "project_option", "project_port",
    "required_in_project",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_FOUND = "slotbench.project"


def project_of(ctx: click.Context) -> Project | None:
    """The project of the current folder; None without one. It is read once in a command.

    Raises BenchError for a slotbench.toml with a mistake.
    """
    if _FOUND not in ctx.meta:
        ctx.meta[_FOUND] = find_project()
    found: Project | None = ctx.meta[_FOUND]
    return found


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether the parameter `name` (of the function) is on the command line."""
    return ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


class ProjectOption(click.Option):
    """An option that takes the field `field` of the project when it is not given.

    With `only_written` it does so only where slotbench.toml has the field.
    """

    def __init__(self, *arguments: Any, field: str, only_written: bool = False, **settings: Any) -> None:
        assert field in FIELDS, field
        super().__init__(*arguments, **settings)
        self.project_field = field
        self.only_written = only_written

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        """The value of the project, as text; without one the option's own default."""
        value = self.project_value(ctx) if call and not ctx.resilient_parsing else None
        if value is None:
            return super().get_default(ctx, call)
        return (value,) if self.multiple else value

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The boards that are known, or the ports that are there."""
        from click.shell_completion import CompletionItem

        known = {"board": board_names, "port": list_ports}.get(self.project_field)
        if known is None:
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name) for name in known() if name.startswith(incomplete)]

    def project_value(self, ctx: click.Context) -> str | None:
        """The value of the project, as text; None without one."""
        project = project_of(ctx)
        if project is None or (self.only_written and self.project_field not in project.lines):
            return None
        value = getattr(project, self.project_field)
        return None if value is None else str(value)

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """The value; where it is missing, the refusal says how a project gives it."""
        try:
            return super().process_value(ctx, value)
        except click.MissingParameter:
            raise required_in_project(ctx, f"option '{self.opts[0]}'", self.project_field) from None


class PortOption(ProjectOption):
    """--port: in a project its port, or the only one on USB."""

    def project_value(self, ctx: click.Context) -> str | None:
        """The port that a project gives; None without a project."""
        return project_port(ctx) if project_of(ctx) is not None else None


def project_port(ctx: click.Context, parameter: str = "option '--port'") -> str:
    """The port of the project, or the only one on USB where its file has none.

    Raises click.UsageError that `parameter` is missing: there is no project, or several ports, or none.
    """
    project = project_of(ctx)
    if project is None:
        raise required_in_project(ctx, parameter, "port")
    if project.port is not None:
        return project.port
    ports = usb_ports()
    if len(ports) == 1:
        click.echo(f"port {ports[0]}: the only one on USB", err=True)
        return ports[0]
    there = f"several are there ({', '.join(ports)})" if ports else "no board is plugged in on USB"
    raise click.UsageError(
        f"Missing option '--port': {there}; give it, or write it into {project.path}: port = \"...\"", ctx)


class ProjectArgument(click.Argument):
    """An argument that takes a path of the project when it is not given; `field` of it, or its folder."""

    def __init__(self, *names: Any, field: str, is_parent: bool = False, **settings: Any) -> None:
        assert field in FIELDS, field
        settings["required"] = False
        super().__init__(*names, **settings)
        self.project_field = field
        self.is_parent = is_parent

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """The path: that on the command line, else the project's. Raises click.UsageError without both."""
        found = super().process_value(ctx, value)
        if isinstance(found, Path) or ctx.resilient_parsing:
            return found
        project = project_of(ctx)
        if project is None:
            raise required_in_project(ctx, f"argument '{self.metavar or self.name}'", self.project_field)
        path = Path(getattr(project, self.project_field))
        return path.parent if self.is_parent else path


def required_in_project(ctx: click.Context, parameter: str, name: str) -> click.UsageError:
    """The refusal of a command line without `parameter` where no project has the field `name`."""
    project = project_of(ctx)
    if project is not None:
        cure = f'give it, or write it into {project.path}: {name} = "..."'
    else:
        cure = (
            f"no {PROJECT_FILE} is in this folder or above it, so give it; or go to the folder of your "
            "project; or make one: slotbench init NAME")
    return click.UsageError(f"Missing {parameter}: {cure}", ctx)


def project_option(*names: str, field: str, **settings: Any) -> Callable[[_F], _F]:
    """Add an option whose default is the project's `field`. `settings` are those of click.option."""
    return click.option(*names, cls=ProjectOption, field=field, **settings)
