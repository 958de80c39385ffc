"""What `slotbench demo` shows: an update with failures, and a series of attacks."""
