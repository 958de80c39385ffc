"""A cut of power at every flash operation of an application's update: unpack, switch, confirm, fall back."""
