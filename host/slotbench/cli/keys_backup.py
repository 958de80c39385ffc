"""`slotbench keys backup` and `keys restore`: a whole project in one file."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH
from slotbench.errors import BenchError
from slotbench.locks import lock_folders
from slotbench.private import PUBLIC
from slotbench.project import PROJECT_FILE, load_project, require_project
from slotbench.release import documents
from slotbench.release.heads import last_head
from slotbench.release.project_archive import archived_files, read_archive, write_archive
from slotbench.release.store import Store


@click.command(short_help="Save the project of this folder in a file.")
@click.argument("file", type=PATH)
def backup(file: Path) -> None:
    """Save the project of this folder in FILE: slotbench.toml, keys, site, releases and identities.

    FILE holds the private keys and the secrets of boards, those with a passphrase still with it. Keep
    it where you would keep a key, away from this computer.

    Example: slotbench keys backup ../lamp.tar.gz
    """
    project = require_project()
    roots = [
        project.path, project.keys.parent, project.offline_key, project.online_key, project.site,
        project.releases]
    roots += [project.identities] if project.identities is not None else []
    with lock_folders(*(each for each in (project.site, project.keys.parent) if each.is_dir())):
        files = archived_files(project.folder, roots)
        write_archive(file, files)
    for path in (project.keys, project.offline_key, project.online_key):
        if not path.is_file():
            click.echo(f"not in it, because it is not here: {path}", err=True)
    click.echo(f"{file}: {len(files)} files of the project {project.product}, for you alone")


@click.command(short_help="Make a project again from such a file.")
@click.argument("file", type=PATH)
@click.argument("folder", type=PATH, metavar="DIR")
def restore(file: Path, folder: Path) -> None:
    """Make the project in the new folder DIR from FILE, which `slotbench keys backup` wrote.

    Example: slotbench keys restore lamp.tar.gz lamp
    """
    names = read_archive(file, folder)
    if PROJECT_FILE not in names:
        raise BenchError(
            f"there is no {PROJECT_FILE} in it", where=str(file), cure="write one: slotbench init NAME")
    project = load_project(folder / PROJECT_FILE)
    for path in project.site.rglob("*"):
        if path.is_file():
            path.chmod(PUBLIC)  # a web server of another user may serve it
    click.echo(f"{folder}: {len(names)} files of the project {project.product}")
    keys = documents.read_keys(project.keys)[1]
    site = Store(project.site)
    for channel in site.channels(keys.product):
        head = last_head(site, keys, channel)
        if head is not None:
            click.echo(f"  {channel} is {head.content()} for {head.audience()}, head seq {head.seq}")
    click.echo(
        "if something was published after this backup, go on with `slotbench release publish --repair`; "
        f"then look at all of it: cd {folder}; slotbench doctor")
