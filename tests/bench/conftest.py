"""A folder of small pictures of three domains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.io import imsave


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder with two astro pictures, one of micro and two generic ones, one of them in colour."""
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for name in ("astro/a.png", "astro/b.png", "micro/c.tif", "colour.png", "plain.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soft = gaussian_filter(rng.standard_normal((120, 130)), 2.5)
        grey = np.uint8(255 * (soft - soft.min()) / np.ptp(soft))
        imsave(folder / name, np.dstack([grey] * 3) if "colour" in name else grey, check_contrast=False)
    (folder / "notes.txt").write_text("not a picture")
    return folder
