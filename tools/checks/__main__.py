"""`python -m checks`."""

import sys

from checks.main import main

sys.exit(main(sys.argv[1:]))
