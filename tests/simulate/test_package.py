from __future__ import annotations

import subprocess
import sys

from blinddps_sci import simulate


def test_public_names_exist() -> None:
    assert all(hasattr(simulate, name) for name in simulate.__all__)


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys, blinddps_sci.simulate as s, blinddps_sci.simulate.blur; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
