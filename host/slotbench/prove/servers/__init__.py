"""Servers of one site side by side on loopback: polls, downloads, and polls beside slow readers."""
