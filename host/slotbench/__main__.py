"""`python -m slotbench` is the command `slotbench`."""

from slotbench.cli import main

if __name__ == "__main__":
    main()
