"""`python -m nodeedu` is `nodeedu`."""

import sys

from nodeedu.cli import main

sys.exit(main())
