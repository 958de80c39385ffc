"""The flash of a virtual board: NOR memory, power cuts, the littlefs in it."""
