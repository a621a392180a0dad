"""A restoration that does not explain its data says so."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

from blinddps_sci.engine.misfit import describe_misfit
from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import MisfitWarning


def test_what_is_explained_needs_no_words() -> None:
    assert describe_misfit(np.array([[0.9, 1.1], [np.nan, 1.4]])) is None
    assert describe_misfit(np.full(3, np.nan)) is None


@pytest.mark.parametrize(
    ("chi2", "words"),
    [
        ([3.0, 3.0, 3.0], "is 3 on average and 3 at the most"),
        ([1.0, 1.0, 1.0, 6.0], r"above 2 in 1 of 4 tiles"),
        ([4000.0, np.nan], r"is 4e\+03 on average .* in 1 of 1 tiles"),
    ],
)
def test_what_is_not_is_told_with_its_figures(chi2: list[float], words: str) -> None:
    sentence = describe_misfit(np.array(chi2))
    assert sentence is not None
    assert re.search(words, sentence)


def test_the_user_is_warned(small: dict[str, Any], scene: Any) -> None:
    options = small | {"prior": "gaussian", "kernel_prior": "gaussian", "samples": 1, "chains": 1, "steps": 2}
    with pytest.warns(MisfitWarning, match="does not explain the data"):
        restore(scene(40, 40), noise="gaussian:0.001", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MisfitWarning)
        restore(scene(40, 40), noise="gaussian:2", **options)
