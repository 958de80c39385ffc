# Where an update finds its modules. An import asks littlefs four times where a module lies, and each answer
# reads three folders: that took half of the CPU's time of a small update. Loaded to mount it, then dropped.
import os

import twoslot


class Modules:
    """The .mpy files below /twoslot, as a filesystem for imports. It takes for granted that they are there.

    It uses no name of its module, which is dropped.
    """

    def mount(self, readonly, mkfs):
        """Called by os.mount()."""

    def umount(self):
        """Have imports ask littlefs again, those below a folder that stays loaded, too: by os.umount()."""
        import sys

        for name in sys.modules:
            module = sys.modules[name]
            if name[:7] == "twoslot" and getattr(module, "__path__", "")[:3] == "/2s":
                module.__path__ = "/twoslot" + module.__path__[3:]  # type: ignore

    def stat(self, path):
        """Return a folder or a file; OSError for the other endings that an import tries first."""
        if path[1:] in "application boot http image mqtt patch push recovery trust":
            return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        if path[-3:-2] == "m" and path[-12:-4] != "__init__":  # .mpy; no folder has an __init__
            return (0x8000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(2)

    def ilistdir(self, path):
        """Show a program that lists all folders an empty one."""
        return iter(())

    def open(self, path, mode):
        """Return the open file. Where there is none: ImportError, and littlefs is asked from now on."""
        try:
            return open("/twoslot" + path, mode)
        except OSError:
            __import__("os").umount("/2s")
            __import__("twoslot").__path__ = "/twoslot/"
            raise ImportError(path)


def begin():
    """Mount it for twoslot's imports; not where twoslot is one file, or sources."""
    try:
        # A pack says here which one it is (twoslot_pack.py).
        if os.stat("/twoslot/agent.mpy")[2]:
            return
    except OSError:
        return
    os.mount(Modules(), "/2s")
    twoslot.__path__ = "/2s"
