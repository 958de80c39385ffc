"""`slotbench completion`: the shell completes verbs, options, boards and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_PROGRAM = "slotbench"
_VARIABLE = "_SLOTBENCH_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete the command line of slotbench. Save it where the shell reads it.

    \b
    bash: slotbench completion bash > ~/.local/share/bash-completion/completions/slotbench
    fish: slotbench completion fish > ~/.config/fish/completions/slotbench.fish
    zsh:  slotbench completion zsh > ~/.zsh-slotbench; echo '. ~/.zsh-slotbench' >> ~/.zshrc
    """
    made = get_completion_class(shell)
    assert made is not None, shell
    click.echo(made(ctx.find_root().command, {}, _PROGRAM, _VARIABLE).source())
