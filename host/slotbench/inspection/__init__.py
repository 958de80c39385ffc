"""What lies on a board's flash: facts read from a dump. Pure: bytes in, data out."""
