"""The loader as a Python model: images, the boot decision, the whole boot."""
