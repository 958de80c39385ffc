"""Proofs on the emulated chip: real firmware, byte for byte, on a board of the bench."""
