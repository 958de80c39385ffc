"""A virtual board that runs while people use it: runner, control socket, folder, serial port."""
