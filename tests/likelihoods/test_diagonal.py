"""What the noise models check of their levels."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.likelihoods.diagonal import check_positive, check_weights


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_number_that_is_no_level_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="gain"):
        check_positive("gain", value)


def test_a_map_is_refused_with_the_number_of_bad_values() -> None:
    levels = torch.tensor([1.0, 0.0, torch.nan, -2.0, torch.inf])
    with pytest.raises(InputError, match=r"3 of 5 values of sigma .* mark these pixels in the mask"):
        check_positive("sigma", levels)
    mask = torch.tensor([False, True, True, False, False])
    with pytest.raises(InputError, match="1 of 5"):
        check_positive("sigma", levels, mask)
    check_positive("sigma", levels, torch.tensor([False, True, True, True, False]))


def test_weights_are_model_or_data() -> None:
    check_weights("model")
    check_weights("data")
    with pytest.raises(ConfigError, match="choose one of model, data"):
        check_weights("photon")
