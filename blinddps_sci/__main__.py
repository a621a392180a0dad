"""`python -m blinddps_sci` is `blinddps`."""

from __future__ import annotations

import sys

from blinddps_sci.cli import main

sys.exit(main())
