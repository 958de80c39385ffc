"""Proofs of the documents' claims, run on virtual boards; `slotbench prove` prints them."""
