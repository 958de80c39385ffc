# Stock firmware: twoslot touches files only.


class Flash:
    """Nothing of the flash is read or written."""
