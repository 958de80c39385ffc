"""The changes, the oldest first. A database knows the newest one that it has."""
