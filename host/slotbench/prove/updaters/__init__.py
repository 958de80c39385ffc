"""What a cut of power leaves of a program that is being updated: side by side, by hobby updaters and twoslot."""
