# Versions of the two parts that are updated apart: twoslot and the boot hook. Loaded for twoslot.status().
import os

import twoslot


def status(found):
    """Add both to a status."""
    where = "frozen" if ".frozen" in twoslot.__path__ else "files"
    try:
        pack = os.stat("/twoslot")[2]  # without the loader (twoslot_pack.py)
        where = "pack " + "AB"[pack - 1] if pack else where
    except OSError:
        pass
    found["twoslot"], found["hook_version"] = twoslot.__version__ + " " + where, None
    try:
        with open("/twoslot_boot.py") as f:
            found["hook_version"] = f.readline().split()[3]  # "# Boot hook 0.1.0"
    except (OSError, IndexError):
        pass
