"""Whole updates over a failing network: each of them must succeed."""
