"""The parts of tools/gen_vectors.py: which golden files there are and what is in them."""
