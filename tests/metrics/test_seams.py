"""Seam energy: one without seams, above one with them, and its closed form for a step."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import seam_energy


def noise(shape=(400, 300)) -> np.ndarray:
    return np.random.default_rng(8).normal(size=shape)


def test_an_image_without_seams_has_energy_one() -> None:
    found = seam_energy(noise(), rows=range(32, 400, 32), columns=range(32, 300, 32))
    assert found == pytest.approx(1.0, abs=0.06)


def test_a_step_of_height_h_raises_the_energy_by_its_closed_form() -> None:
    # steps of white noise have variance 2; a step of height h adds h^2 on its line
    image = noise()
    image[100:200] += 1.5
    found = seam_energy(image, rows=[100, 200])
    assert found == pytest.approx((2 + 1.5**2) / 2, abs=0.25)
    assert seam_energy(image, rows=[101, 201]) < 1.2


def test_columns_are_the_rows_of_the_transpose() -> None:
    image = noise()
    image[:, 64:] += 1.0
    assert seam_energy(image, columns=[64, 128]) == seam_energy(image.T, rows=[64, 128])


def test_energy_does_not_depend_on_unit_or_level() -> None:
    image = noise()
    assert seam_energy(3e4 * image + 100, [64], [64]) == pytest.approx(seam_energy(image, [64], [64]))


def test_flat_images_and_ramps_have_no_seam() -> None:
    assert seam_energy(np.full((40, 40), 7.0), [20], [20]) == 1.0
    assert seam_energy(np.add.outer(np.arange(40.0), 3 * np.arange(40.0)), [20], [10]) == pytest.approx(1.0)


def test_seams_alone_are_infinite() -> None:
    image = np.zeros((40, 40))
    image[20:] = 1.0
    assert seam_energy(image, rows=[20]) == np.inf


def test_masked_steps_do_not_count() -> None:
    image = noise((80, 60))
    image[40] = np.nan
    mask = np.isnan(image)
    assert seam_energy(image, rows=[20, 60], mask=mask) == pytest.approx(1.0, abs=0.4)
    with pytest.raises(InputError, match="both are needed"):
        seam_energy(image, rows=[40, 41], mask=mask)


@pytest.mark.parametrize(
    ("image", "rows", "columns", "message"),
    [
        (noise(), [], [], "no seam line"),
        (noise(), [0], [], "1 to 399"),
        (noise(), [], [300], "1 to 299"),
        (noise((4, 4)), [1, 2, 3], [], "both are needed"),
        (np.zeros(5), [1], [], r"give a \(y, x\)"),
    ],
)
def test_what_is_refused(image, rows, columns, message) -> None:
    with pytest.raises(InputError, match=message):
        seam_energy(image, rows, columns)
