"""The REPL of a connected board: deploying the device package, running commands, transferring files."""
