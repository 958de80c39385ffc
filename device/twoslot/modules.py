# Where an update finds its modules. An import asks littlefs four times where a module lies, and each answer
# reads three folders: that took half of the CPU's time of a small update. Loaded to mount it, then dropped.
import os

import twoslot


class Modules:
    """The .mpy files below /twoslot, as a filesystem for imports. It knows its folders, not its files.

    It uses no name of its module, which is dropped.
    """

    def __init__(self, folders):
        self.folders = folders

    def mount(self, readonly, mkfs):
        """Called by os.mount()."""

    def umount(self):
        """Called by os.umount()."""

    def stat(self, path):
        """Return a folder or a file; OSError for the other endings that an import tries first."""
        if path in self.folders:
            return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        if path[-3:-2] == "m" and path[-12:-4] != "__init__":  # .mpy; no folder has an __init__
            return (0x8000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(2)

    def ilistdir(self, path):
        """Show a program that lists all folders an empty one."""
        return iter(())

    def open(self, path, mode):
        """Return the open file; ImportError where there is none."""
        try:
            return open("/twoslot" + path, mode)
        except OSError:
            raise ImportError(path)

    def end(self):
        """Have imports ask littlefs again, those below a folder that stays loaded, too."""
        import os
        import sys

        for name in sys.modules:
            module = sys.modules[name]
            if name[:7] == "twoslot" and getattr(module, "__path__", "")[:3] == "/2s":
                module.__path__ = "/twoslot" + module.__path__[3:]  # type: ignore
        os.umount("/2s")


def begin():
    """Mount it for twoslot's imports, and return it; None where a module is no .mpy file."""
    folders = ["/"]
    if twoslot.__path__ == "/twoslot":
        for folder in folders:
            for entry in os.ilistdir("/twoslot" + folder):
                if entry[1] == 0x4000:
                    folders.append("/" + entry[0])
                elif entry[0][-4:] != ".mpy":
                    return None  # somebody's source goes first
    if len(folders) < 2:
        return None  # it is frozen, or in one file
    found = Modules(folders)
    os.mount(found, "/2s")
    twoslot.__path__ = "/2s"
    return found
