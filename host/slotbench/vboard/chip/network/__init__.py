"""The network of an emulated board: its firmware's own lwIP, and this machine's loopback behind it."""
