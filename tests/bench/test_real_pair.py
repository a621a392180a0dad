"""One sky on two grids: it is laid where the headers say, and what differs is what is scored."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from blinddps_sci.bench.real_pair import laid_into, score_pair
from blinddps_sci.errors import InputError


def grid(scale: float, centre: tuple[float, float]) -> WCS:
    """Return a WCS of so many arcseconds a pixel whose reference lies at (x, y), counted from zero."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [centre[0] + 1, centre[1] + 1]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    return wcs


def stars(shape: tuple[int, int], scale: float, centre: tuple[float, float]) -> np.ndarray:
    """Return two stars, at 0 and at (2.5, -1.5) arcseconds, (y, x), of a sigma of 0.3."""
    y = scale * (np.arange(shape[0]) - centre[1])[:, None]
    x = scale * (np.arange(shape[1]) - centre[0])
    return sum(
        h * np.exp(-0.5 * ((y - dy) ** 2 + (x - dx) ** 2) / 0.3**2)
        for h, dy, dx in ((1, 0, 0), (2, 2.5, -1.5))
    )


def test_an_image_is_laid_where_the_headers_say() -> None:
    fine, coarse = ((250, 240), 0.03, (120.0, 125.0)), ((60, 50), 0.168, (24.3, 30.6))
    found = laid_into(stars(*fine), grid(0.03, fine[2]), grid(0.168, coarse[2]), coarse[0])
    known = np.isfinite(found)
    assert not known[0].any()  # the fine image is smaller than the grid
    assert 40 < known.any(axis=1).sum() < 46
    # A pixel holds the mean over its area.
    true = stars((600, 500), 0.0168, (10 * coarse[2][0] + 4.5, 10 * coarse[2][1] + 4.5))
    true = true.reshape(60, 10, 50, 10).mean(axis=(1, 3))
    np.testing.assert_allclose(found[known], true[known], atol=0.02)


def test_gain_offset_and_a_small_shift_do_not_count_and_blur_does() -> None:
    truth = gaussian_filter(np.random.default_rng(1).standard_normal((60, 60)), 2)
    truth[:4] = np.nan
    filled = np.nan_to_num(truth)
    same = score_pair(3 * np.roll(filled, 1, axis=1) + 5, truth)
    assert same["correlation"] == pytest.approx(1)
    assert same["psnr"] > 60
    blurred = score_pair(gaussian_filter(filled, 2), truth)
    assert blurred["psnr"] < 30
    assert blurred["correlation"] < 0.97
    with pytest.raises(InputError, match="overlap"):
        score_pair(filled, np.where(np.arange(60) < 15, truth, np.nan))
