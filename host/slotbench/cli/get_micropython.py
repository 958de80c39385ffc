"""`slotbench get-micropython`: the VM that --vm micropython runs a board's program in."""

from __future__ import annotations

import click

from slotbench.micropython_vm import VERSION, get_vm, vm_cache


@click.command()
@click.option("--again", is_flag=True, help="Get it even when it is there.")
def get_micropython(again: bool) -> None:
    """Get the real MicroPython VM, for `slotbench board run --vm micropython` and `slotbench prove`.

    It is Debian's own 32-bit build, fetched from the mirror that apt is configured for, checked with
    Debian's keys, and unpacked into a cache. Nothing is installed. This needs Debian on x86, and no
    root.
    """
    cache = vm_cache()
    is_new = get_vm(cache, again=again)
    click.echo(f"MicroPython {VERSION} (i386) is {'now' if is_new else 'already'} in {cache}")
