"""The HTTP client that pushes a release to a listening board (FORMATS)."""
