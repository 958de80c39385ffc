"""A program as a bundle: the files of a folder, checked, compiled for the board, with the room they need."""
