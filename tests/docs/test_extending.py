"""The example of 'A new operator in twenty lines' is run as the page has it, and finds what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from blinddps_sci import sample
from blinddps_sci.likelihoods import Gaussian, Likelihood
from blinddps_sci.metrics import psnr
from blinddps_sci.operators.linear import linearise_operator
from blinddps_sci.priors.base import Prior
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.split import Split

# Networks are at work.
pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """Return the names that the page defines, all of its code having been run in order."""
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(BLOCKS):
        # As a reader runs it: not under the annotations of this file.
        exec(compile(block, f"{PAGE.name}, block {number}", "exec", dont_inherit=True), names)
    return names


def test_the_operator_takes_no_more_than_twenty_lines() -> None:
    operator = next(block for block in BLOCKS if "class ColumnGain" in block)
    assert len([line for line in operator.splitlines() if line.strip()]) <= 20


def test_the_image_and_the_gains_are_found(page: dict[str, Any]) -> None:
    scene, exposure, gain = page["scene"], page["exposure"], page["gain"]
    before, after = psnr(exposure, scene, 1.0), psnr(page["image"].numpy(), scene, 1.0)
    assert before == pytest.approx(20.2, abs=0.1)
    assert after > before + 5
    wrong = np.log(page["gains"].numpy() / gain)
    assert wrong.std() < 0.7 * np.log(gain).std()
    # The gauge: what cannot be known is not there.
    assert page["gains"].log().mean().abs() < 0.01
    assert 0.9 < page["posterior"].chi2.mean() < 1.2


def test_column_medians_gain_nothing(page: dict[str, Any]) -> None:
    """Stripes of the scene are taken for gains, however far medians are smoothed."""
    scene, exposure = page["scene"], page["exposure"]
    medians = np.log(np.median(exposure, axis=0))
    best = max(
        psnr(exposure / np.exp(medians - gaussian_filter1d(medians, width)), scene, 1.0)
        for width in (1, 2, 4, 8, 16)
    )
    assert best == pytest.approx(21.1, abs=0.1)  # as the page says; the exposure has 20.2


def test_without_the_new_likelihood_cosmic_rays_spoil_it(page: dict[str, Any]) -> None:
    data = torch.from_numpy(page["exposure"]).float()[None, None]
    options: dict[str, Any] = {"sampler": Split(steps=12), "seeds": [0], "samples": 1}
    found = sample(data, page["ColumnGain"](), Gaussian(0.01), page["unknowns"], **options)
    assert psnr(found.mean("image")[0, 0].numpy(), page["scene"], 1.0) < 22
    assert found.chi2.mean() > 1.3


def test_the_published_sampler_takes_the_same_problem(page: dict[str, Any]) -> None:
    data = torch.from_numpy(page["exposure"]).float()[None, None]
    options: dict[str, Any] = {"sampler": Dps(steps=3, unit=0.5), "seeds": [0]}
    found = sample(data, page["ColumnGain"](), page["StudentT"](0.01), page["unknowns"], **options)
    assert torch.isfinite(found.samples["image"]).all()
    assert found.samples["gain"].shape == (1, 1, 1, 1, 64)


def test_the_prior_is_the_denoiser_that_it_is_said_to_be(page: dict[str, Any]) -> None:
    prior = page["Normal"]()
    assert isinstance(prior, Prior)
    clean = torch.randn(1, 1, 1, 200_000, generator=torch.Generator().manual_seed(0))
    noisy = clean + 0.7 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    error = prior(noisy, torch.full((1,), 0.7)) - clean
    root = prior.error_root(clean, 0.7)
    assert error.std() == pytest.approx(float(root.apply(torch.ones(1))), rel=0.01)


def test_the_likelihood_is_a_density_and_its_residual_points_down_it(page: dict[str, Any]) -> None:
    noise = page["StudentT"](sigma=0.5)
    likelihood: Likelihood = noise
    data = torch.tensor([[[[1.0, 9.0, torch.nan]]]], dtype=torch.float64)
    prediction = torch.full_like(data, 0.7).requires_grad_()
    (slope,) = torch.autograd.grad(likelihood.nll(prediction, data).sum(), prediction)
    pull = likelihood.precision(prediction, data) * (data.nan_to_num() - prediction.detach())
    torch.testing.assert_close(slope, -pull)
    values = torch.linspace(-400, 400, 2_000_001, dtype=torch.float64)
    mass = torch.trapezoid(torch.exp(-noise.density(torch.zeros(()).double(), values)), values)
    # Up to its constant, which nll leaves out: B(1/2, freedom / 2) sigma sqrt(freedom).
    assert mass == pytest.approx(0.5 * 2 * 4 / 3, rel=1e-4)


def test_the_operator_differentiates_by_itself(page: dict[str, Any]) -> None:
    values = {"image": torch.rand(2, 1, 5, 4).double(), "gain": torch.rand(2, 1, 1, 4).double()}
    linear = linearise_operator(page["ColumnGain"](), values)
    change = {name: torch.rand_like(value) for name, value in values.items()}
    residual = torch.rand_like(linear.value)
    back = linear.adjoint(residual, values)
    pulled = sum((change[name] * back[name]).sum() for name in values)
    torch.testing.assert_close((linear.apply(change) * residual).sum(), pulled)
