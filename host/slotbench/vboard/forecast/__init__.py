"""What a flash will do next, worked out from a dump: the next boot, the status."""
