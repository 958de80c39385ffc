"""Patches (FORMATS, patch): how a new image is written down as edits of the one that boards run.

`slotbench.formats.patch` reads them. Needs nothing but the standard library.
"""

from __future__ import annotations

from slotbench.patch.encoder import make_patch, pack_image

__all__ = ["make_patch", "pack_image"]
