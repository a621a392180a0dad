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
SHORTER = {
    "Split(24)": "Split(2)",
    "Split(60)": "Split(2)",
    "samples=8": "samples=2",
    "samples=4": "samples=2",
    'noise="gaussian:0.025"': 'noise="gaussian:0.025", steps=2, samples=2',
    'quality="fast"': "steps=2, samples=2",
}


def test_every_task_is_restored() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    shapes = []
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.M)):
        code = block
        for longer, shorter in SHORTER.items():
            code = code.replace(longer, shorter)
        exec(compile(code, f"{PAGE.name}, block {number}", "exec", dont_inherit=True), names)
        if "mean, std =" in block:
            assert torch.isfinite(names["mean"]).all()
            shapes.append(tuple(names["mean"].shape[-2:]))
    # Inpainting, super-resolution, one PSF, photons, a field of PSFs: each on its canvas.
    assert shapes == [(64, 64), (64, 64), (72, 72), (72, 72), (72, 72)]
    assert names["best"].shape == (1, 1, 64, 64)
    assert names["joint"].samples["kernel"].shape == (2, 1, 1, 32, 32)
    assert names["result"]["image"].shape == (64, 64)
    assert names["result"]["tilt"].shape[0] == 4
    # The other sampler, as the page gives it, in one of the lines.
    sampler = re.search(r"`sampler=(Dps\(steps=250.*?\))`", PAGE.read_text())
    assert sampler is not None
    line = "restored(data, Direct(), Gaussian(0.025), image(64, 64), " + sampler[1].replace("250", "2") + ")"
    assert torch.isfinite(eval(line, names)[0]).all()
