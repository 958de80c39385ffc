"""`slotbench release upload`: a site is copied to a static host or an object store."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, is_json, json_option
from slotbench.cli.project_options import project_of, required_in_project
from slotbench.release.store import Store
from slotbench.release.upload import upload_site
from slotbench.server import require_published


@click.command()
@click.argument("words", nargs=-1, metavar="[SITE] URL")
@click.option("--force", is_flag=True, help="Replace a head there that is newer than the one here.")
@json_option
@click.pass_context
def upload(ctx: click.Context, words: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Copy SITE to URL: s3://BUCKET/PREFIX, file:///FOLDER, or what else fsspec can write to.

    Heads are written last, so boards never see one whose release is not there. Files that are there
    already are not sent again; run it again after each change, and after an interruption.

    Example: slotbench release upload www s3://updates.example.org/lamps
    """
    if not 1 <= len(words) <= 2:
        raise click.UsageError("give [SITE] URL", ctx)
    project = project_of(ctx) if len(words) == 1 else None
    if len(words) == 1 and project is None:
        raise required_in_project(ctx, "argument 'SITE'", "site")
    site = project.site if project is not None else Path(words[0])
    require_published(site)
    done = upload_site(
        Store(site), words[-1], is_forced=force, report=lambda name: click.echo(name, err=is_json()))
    if as_json:
        echo_result({"url": words[-1], "written": done.written, "kept": done.kept})
        return
    click.echo(f"{words[-1]}: {len(done.written)} files written, {done.kept} were there")
