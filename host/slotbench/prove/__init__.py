"""Proofs of what the documents claim, run on virtual boards; `slotbench prove` prints them."""
