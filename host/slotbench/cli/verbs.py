"""The verbs of `slotbench`, by what a user wants to do: where each one is, and what it does in a line."""

from __future__ import annotations

from slotbench.cli.lazy_group import Sections

__all__ = ["VERBS"]

VERBS: Sections = {
    "From a new board to an updated one": {
        "init": ("slotbench.cli.init:init", "Make a project: keys, site, slotbench.toml."),
        "flash": ("slotbench.cli.flash:flash", "Put the loader and a firmware onto a board."),
        "deploy": ("slotbench.cli.deploy:deploy", "Put twoslot, its settings and keys onto a board."),
        "ship": ("slotbench.cli.ship:ship", "Build, try, sign, publish a firmware or program."),
        "update": ("slotbench.cli.update:update", "Have a board install what is offered."),
        "status": ("slotbench.cli.status:status", "Say what runs on a board."),
        "doctor": ("slotbench.cli.doctor:doctor", "Look at what usually goes wrong."),
    },
    "Releases": {
        "fleet": ("slotbench.cli.fleet:fleet", "Look after the boards that ask your server."),
        "keys": ("slotbench.cli.keys:keys", "Make and change the keys of a product."),
        "preflight": ("slotbench.cli.preflight:command", "Start a firmware on an emulated chip."),
        "release": ("slotbench.cli.release:release", "Build, sign, publish and roll out releases."),
        "serve": ("slotbench.cli.serve:serve", "Serve the releases to the boards."),
    },
    "A board on USB": {
        "backup": ("slotbench.cli.backup:backup", "Save the whole flash of a board."),
        "check": ("slotbench.cli.check:check", "Have a board say what is offered."),
        "inspect": ("slotbench.cli.inspect:inspect", "Explain a flash, or a firmware."),
        "log": ("slotbench.cli.log:log", "Say what a board refused or failed at."),
        "monitor": ("slotbench.cli.monitor:monitor", "Show what a board prints, without a reset."),
        "push": ("slotbench.cli.push:push", "Send a firmware or program to a board near you."),
        "restore": ("slotbench.cli.restore:restore", "Write a saved flash back."),
        "rollback": ("slotbench.cli.rollback:rollback", "Go back to what ran before."),
        "unflash": ("slotbench.cli.unflash:unflash", "Make a stock MicroPython board of it."),
        "watch": ("slotbench.cli.watch:watch", "Run a program on a board as you write it."),
    },
    "Without a board": {
        "bench": ("slotbench.cli.bench:bench", "Compare what an update costs with other ways."),
        "board": ("slotbench.cli.board:board", "Keep and run virtual boards."),
        "demo": ("slotbench.cli.demo:demo", "Watch an update, power cuts and attacks."),
        "get-micropython": (
            "slotbench.cli.get_micropython:get_micropython", "Get the VM for --vm micropython."),
        "prove": ("slotbench.cli.prove:prove", "Check the claims of the documents."),
    },
    "Words": {
        "completion": ("slotbench.cli.completion:completion", "Have the shell complete the command line."),
        "explain": ("slotbench.cli.explain:explain", "Say what an error code means."),
    },
}
