"""A group of verbs that imports a verb's module when the verb is called, and for no list or help before."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["LazyGroup"]

_MEANT_MOST = 3

Sections = Mapping[str, Mapping[str, tuple[str, str]]]
"""Heading -> verb -> where it is ("module:name") and what it does, for the list of verbs."""


class LazyGroup(click.Group):
    """A group whose verbs stand in a table, by the headings under which --help lists them."""

    def __init__(self, *arguments: Any, sections: Sections, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.sections = {heading: dict(verbs) for heading, verbs in sections.items()}

    def places(self) -> dict[str, str]:
        """Verb -> "module:name"."""
        return {name: verb[0] for verbs in self.sections.values() for name, verb in verbs.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order of the alphabet."""
        return sorted(self.places())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb. None if there is none of that name."""
        place = self.places().get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb of a command line. The refusal of one that is misspelt names the right one."""
        places = self.places()
        if args and args[0] not in places and not args[0].startswith("-") and not ctx.resilient_parsing:
            close = self._verbs_inside(ctx, args[0]) or difflib.get_close_matches(args[0].lower(), places, 1)
            if close:
                meant = "' or '".join(close[:_MEANT_MOST])
                ctx.fail(f"No such command '{args[0]}'. Did you mean '{meant}'?")
        return super().resolve_command(ctx, args)

    def _verbs_inside(self, ctx: click.Context, name: str) -> list[str]:
        """Where a verb of this name is in a group below: "release publish" for "publish"."""
        found = []
        for place in self.places():
            group = self.get_command(ctx, place)
            if isinstance(group, LazyGroup) and name in group.places():
                found.append(f"{place} {name}")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs under its headings. Nothing is imported for it."""
        width = max((len(name) for verbs in self.sections.values() for name in verbs), default=0)
        for heading, verbs in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), verb[1]) for name, verb in verbs.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs that begin with this, then the options of the group. No verb is imported for it."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=verb[1])
            for verbs in self.sections.values() for name, verb in verbs.items()
            if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)
