"""A cut of power while a program is updated: by the methods of hobby updaters, and by twoslot."""
