from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.simulate.voronoi import cells


@pytest.mark.parametrize("regularity", [0.0, 1.0])
def test_cells_have_the_density_asked_for(regularity: float) -> None:
    nearest, second, wall = cells((160, 160), np.random.default_rng(1), 10.0, regularity=regularity)
    # A hexagonal lattice has one cell per sqrt(3) / 2 spacings squared.
    inner = np.unique(nearest[10:-10, 10:-10]).size
    assert inner == pytest.approx(140**2 / (100 * 0.866), rel=0.3)
    assert (nearest != second).all()
    assert wall.min() >= 0.0


def test_walls_lie_between_cells() -> None:
    nearest, _, wall = cells((96, 96), np.random.default_rng(2), 16.0, warp=1.5, regularity=0.5)
    border = nearest[:, 1:] != nearest[:, :-1]
    assert np.minimum(wall[:, 1:], wall[:, :-1])[border].max() < 2.0
    assert wall[:, 1:][~border].mean() > 2.0
