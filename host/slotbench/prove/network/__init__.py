"""Whole updates through a network that fails: every one of them gets there."""
