"""Options whose default is what slotbench.toml says, for verbs that run in a project folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from slotbench.project import FIELDS, Project, find_project

__all__ = ["is_given", "project_of", "project_option", "required_in_project"]

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
    """An option that takes the field `field` of the project when it is not given."""

    def __init__(self, *arguments: Any, field: str, **settings: Any) -> None:
        assert field in FIELDS, field
        super().__init__(*arguments, **settings)
        self.project_field = field

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        """The value of the project, as text; without one the option's own default."""
        project = project_of(ctx) if call and not ctx.resilient_parsing else None
        value = getattr(project, self.project_field) if project is not None else None
        if value is None:
            return super().get_default(ctx, call)
        return (str(value),) if self.multiple else str(value)

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """The value; where it is missing, the refusal says how a project gives it."""
        try:
            return super().process_value(ctx, value)
        except click.MissingParameter:
            raise required_in_project(ctx, f"option '{self.opts[0]}'", self.project_field) from None


def required_in_project(ctx: click.Context, parameter: str, name: str) -> click.UsageError:
    """The refusal of a command line without `parameter` where no project has the field `name`."""
    project = project_of(ctx)
    cure = "or make a project, whose commands need it no more: slotbench init NAME"
    if project is not None:
        cure = f'or write it into {project.path}: {name} = "..."'
    return click.UsageError(f"Missing {parameter}: give it, {cure}", ctx)


def project_option(*names: str, field: str, **settings: Any) -> Callable[[_F], _F]:
    """Add an option whose default is the project's `field`. `settings` are those of click.option."""
    return click.option(*names, cls=ProjectOption, field=field, **settings)
