# A verb at the REPL or in a program: one at a time, on a board whose last boot is concluded. Loaded for one.
import twoslot


def run(name, force):
    """Run a command: of slot_commands where force is None, else of commands."""
    package = twoslot  # at the end this module is dropped, too
    if package._busy:
        from twoslot import failures

        return failures.refuse_busy()
    package._busy = True
    try:
        # A person may have cured what stopped it before.
        package._schedule = package._schedule or None
        package.get_schedule()
        from twoslot import errors

        if force is None:
            from twoslot import slot_commands

            return slot_commands.run(name, force)
        from twoslot import commands

        return commands.run(name, force)
    finally:
        package.unload()
        package._busy = False
