"""The tasks of the page on the general framework run as they stand, but for the number of their steps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

# Networks are at work.
pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "framework.md"
SHORTER = {"Split(24)": "Split(2)", "samples=8": "samples=2", "samples=4": "samples=2"}


def test_every_task_is_restored() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    shapes = []
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.M)):
        if "import restore" in block:  # which has tests of its own
            continue
        code = block
        for longer, shorter in SHORTER.items():
            code = code.replace(longer, shorter)
        exec(compile(code, f"{PAGE.name}, block {number}", "exec", dont_inherit=True), names)
        if "mean, std =" in block:
            assert torch.isfinite(names["mean"]).all()
            shapes.append(tuple(names["mean"].shape[-2:]))
    # Inpainting, super-resolution, one PSF, photons, a field of PSFs: each on its canvas.
    assert shapes == [(64, 64), (76, 76), (72, 72), (72, 72), (72, 72)]
    assert names["best"].shape == (1, 1, 64, 64)
    assert names["joint"].samples["kernel"].shape == (2, 1, 1, 32, 32)
