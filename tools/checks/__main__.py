"""`python -m checks`."""

import gc
import sys

from checks.main import main

# Syntax trees are all that is made here: they hold no rings, and looking for rings takes a fifth of the time.
gc.disable()
sys.exit(main(sys.argv[1:]))
