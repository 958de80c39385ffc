"""All stories, in the order in which they are told."""

from __future__ import annotations

from typing import Final

from slotbench.prove.field.crashes import CRASHES
from slotbench.prove.field.endings import ENDINGS
from slotbench.prove.field.links import LINKS
from slotbench.prove.field.lives import LIVES
from slotbench.prove.field.loops import LOOPS
from slotbench.prove.field.story import FieldStory
from slotbench.prove.field.trials import TRIALS
from slotbench.prove.field.watchdogs import WATCHDOGS

__all__ = ["STORIES"]

STORIES: Final[tuple[FieldStory, ...]] = (
    *LOOPS, *CRASHES, *ENDINGS, *WATCHDOGS, *LINKS, *TRIALS, *LIVES)
