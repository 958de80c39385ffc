"""The stories that `slotbench demo` tells: an update, and an attacker's day."""
