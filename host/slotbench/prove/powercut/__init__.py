"""Power is cut at every flash operation of every part of an update: no brick, nothing unverified runs."""
