"""The REPL of a connected board: deploy the device package, run commands, transfer files."""
