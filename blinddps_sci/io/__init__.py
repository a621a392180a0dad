"""Reading stacks and writing results: the first and the last step of the flow.

Importing this loads xarray only; each format's library is loaded when a file needs it.
"""

from __future__ import annotations

from blinddps_sci.io.stack import Window, check_finite, open_stack, overview, read_window

__all__ = ["Window", "check_finite", "open_stack", "overview", "read_window"]
