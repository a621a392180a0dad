"""One unit of work: what its draws do not depend on, and what must be in its result."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import blinddps_sci.engine.unit as engine_unit
from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.config import RestoreConfig
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.scene import blind_scene, read_scene
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.errors import InputError
from blinddps_sci.metrics import kernel_width
from blinddps_sci.operators.stretch import AsinhStretch
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.error import ErrorTable
from blinddps_sci.sampling.posterior import Posterior

# By rounding, conjugate gradients of a joint problem may end two iterations apart.
TOLERANCE = {"dps": 1e-4, "split": 3e-3}
GRIDS = [(64, 0), (32, 0), (32, 8), (48, 16), (40, 13)]


@pytest.fixture
def psf_file(tmp_path) -> str:
    y, x = np.mgrid[-4:5, -4:5]
    np.save(tmp_path / "psf.npy", np.exp(-(y**2 + 0.5 * x**2) / 4))
    return str(tmp_path / "psf.npy")


def images_of(job: Job, number: int = 0) -> np.ndarray:
    return run_unit(job, number).images


# --- the tile grid ---


@pytest.mark.parametrize(
    ("sampler", "known", "tolerance"),
    [("dps", True, 1e-5), ("dps", False, 1e-5), ("split", True, 1e-5), ("split", False, TOLERANCE["split"])],
)
def test_the_tile_grid_changes_nothing_with_a_local_prior(
    job_of, scene, psf_file, sampler: str, known: bool, tolerance: float
) -> None:
    data = scene(64, 60)
    options = {"psf_file": psf_file} if known else {"psf": "shared"}
    options |= {"sampler": sampler, "steps": 6 if sampler == "dps" else 3, "chains": 1}
    reference, *others = (
        images_of(job_of(data, local=True, tile=tile, overlap=overlap, **options)) for tile, overlap in GRIDS
    )
    assert len({job_of(data, tile=t, overlap=o, **options).plan.n_tiles for t, o in GRIDS}) > 2
    for other in others:
        assert np.abs(other - reference).max() <= tolerance * np.ptp(reference)


def test_the_change_by_the_tile_grid_with_the_shipped_network_is_known(job_of, scene) -> None:
    options = {"prior": "generic", "kernel_prior": "uniform", "psf": "shared", "steps": 4}
    one, other = (images_of(job_of(scene(64, 64), tile=tile, overlap=16, **options)) for tile in (64, 48))
    change = float(np.sqrt(np.mean((other - one) ** 2)) / one.std(axis=0, ddof=1).mean())
    assert np.isfinite(change), f"{change:.3f} posterior standard deviations (rms)"
    assert change > 0, "the network looks beyond a pixel, so that its tiles must matter"


# --- what else must not matter ---


def test_two_runs_are_equal_and_the_order_of_units_is_irrelevant(job_of, scene) -> None:
    data, options = scene(64, 64), {"unit": 32, "psf": "per-tile"}
    forward, backward = job_of(data, **options), job_of(data, **options)
    ahead = [run_unit(forward, number) for number in (0, 1, 2, 3)]
    for number in (3, 1, 0, 2):
        again = run_unit(backward, number)
        for name in ("images", "kernels", "kernels_std", "chi2"):
            np.testing.assert_array_equal(getattr(again, name), getattr(ahead[number], name))


def test_the_seed_matters(job_of, scene) -> None:
    one, other = (images_of(job_of(scene(32, 32), seed=seed)) for seed in (0, 1))
    assert np.abs(one - other).max() > 0.1


def test_how_draws_differ_does_not_depend_on_how_many_there_are(job_of, scene) -> None:
    """Their mean does: more chains know it better."""
    data = scene(40, 40)
    two, three = (images_of(job_of(data, samples=samples)) for samples in (2, 3))
    assert np.abs((three[1] - three[0]) - (two[1] - two[0])).max() <= 1e-5 * np.ptp(two)
    assert np.abs(two[1] - two[0]).max() > 0.1


def test_chains_of_dps_are_draws(job_of, scene) -> None:
    data = scene(40, 40)
    draws, chains = (images_of(job_of(data, sampler="dps", samples=s, chains=c)) for s, c in ((2, 1), (1, 2)))
    np.testing.assert_array_equal(chains, draws)


def test_chains_of_split_are_kernels(job_of, scene) -> None:
    data = scene(40, 40)
    two, three = (run_unit(job_of(data, samples=2, chains=chains), 0) for chains in (2, 3))
    assert two.images.shape == three.images.shape == (2, 40, 40)
    assert two.kernels.shape == three.kernels.shape == (1, 4, 8, 8)
    assert np.abs(three.kernels - two.kernels).max() > 1e-4
    assert three.kernels_std.max() > 0
    assert np.abs(three.images - two.images).max() > 0.1


def test_planes_are_independent_images_with_noise_of_their_own(job_of, scene) -> None:
    """Three planes of the same pixels: the first is the image alone, the others have other noise."""
    data = scene(40, 40)
    alone = job_of(data)
    answers = [images_of(alone)]
    for axis in ("t", "c", "z"):
        stack = xr.DataArray(np.stack([data, data]), dims=(axis, "y", "x"))
        job = job_of(stack)
        job = replace(job, channels=alone.channels * len(job.channels))
        np.testing.assert_array_equal(images_of(job, 0), answers[0])
        answers.append(images_of(job, 1))
    for one, other in combinations(answers, 2):
        assert np.abs(one - other).max() > 0.1


# --- the unit of flux ---


def scaled_job(job_of, data: np.ndarray, scale: float, model: str, sampler: str, **attrs: float) -> Job:
    noise = {"gaussian": f"gaussian:{2 * scale}", "poisson-gaussian": f"poisson-gaussian:{5 / scale},{scale}"}
    source = xr.DataArray(data.astype(np.float64) * scale, dims=("y", "x"))
    source.attrs = {name: value * scale for name, value in attrs.items()}
    return job_of(source, noise=noise[model], sampler=sampler, steps=5 if sampler == "dps" else 3)


@pytest.mark.parametrize(
    ("model", "scale"), [("gaussian", 1e3), ("poisson-gaussian", 1e3), ("gaussian", 1e-17)]
)
@pytest.mark.parametrize(
    ("sampler", "stars"),
    # Stars of split have a test of their own: conjugate gradients that have not converged amplify rounding.
    [("dps", False), ("dps", True), ("split", False)],
)
def test_the_answer_follows_the_unit_of_flux(
    job_of, scene, model: str, scale: float, sampler: str, stars: bool
) -> None:
    data = scene(48, 48)
    if stars:
        data[::12, ::12] += 3000
    saturation = float(np.percentile(data, 99))
    base, large = (scaled_job(job_of, data, s, model, sampler, saturation=saturation) for s in (1.0, scale))
    assert base.channels[0].noise.saturation == pytest.approx(saturation)
    assert isinstance(base.channels[0].stretch, AsinhStretch) == stars
    one, other = run_unit(base, 0), run_unit(large, 0)
    assert np.abs(other.images / scale - one.images).max() <= TOLERANCE[sampler] * np.ptp(one.images)
    np.testing.assert_allclose(other.kernels, one.kernels, atol=0.1 * TOLERANCE[sampler])
    np.testing.assert_allclose(other.chi2, one.chi2, rtol=1e-3)
    np.testing.assert_array_equal(other.saturated, one.saturated)
    assert one.saturated.any()


@pytest.mark.parametrize("scale", [1.0, 1e-17])
def test_bright_stars_keep_the_split_sampler_in_range(job_of, scene, scale: float) -> None:
    data = scene(48, 48)
    data[::12, ::12] += 3000
    job = scaled_job(job_of, data, scale, "gaussian", "split")
    assert isinstance(job.channels[0].stretch, AsinhStretch)
    found = run_unit(job, 0)
    assert np.abs(found.images).max() < 10 * scale * data.max()


# --- neighbouring units ---


def fused(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the whole plane."""
    draws = [images_of(job, number) for number in range(job.plan.n_units)]
    mean, std = np.empty((2, *job.plan.shape))
    for unit in job.plan.units():
        part = blend(job.plan, unit, draws.__getitem__)
        mean[unit.core.slices], std[unit.core.slices] = part.mean, part.std
    return mean, std


def test_two_units_join_without_a_seam(job_of, scene, psf_file) -> None:
    """Two units against one over both, with a local prior.

    Noise and windows are the same, so the answers may differ only by the common length of a step:
    a unit knows of its whole only the norm of the residual. That is a slow change of less than a
    tenth of the posterior's deviation, with no step at the border of the units.
    """
    options = {"psf_file": psf_file, "local": True, "sampler": "dps"}
    options |= {"steps": 6, "samples": 4, "overlap": 16}
    data = scene(48, 128)
    (one, std), (two, _) = (
        fused(job_of(data, unit=unit, noise="gaussian:2", **options)) for unit in (128, 64)
    )
    change = (two - one) / std.mean()
    assert np.sqrt(np.mean(change**2, axis=0)).max() < 0.1
    jumps = np.sqrt(np.mean(np.diff(change, axis=1) ** 2, axis=0))
    assert jumps[62:65].max() < 0.01


def test_two_units_of_split_agree_where_both_see_the_same(job_of, scene, psf_file) -> None:
    """Away from the border by more than the conjugate gradients reach, and nearly at it.

    A unit's solution knows nothing of the pixels beyond its halo, and the step lengths of its
    conjugate gradients are its own.
    """
    options = {"psf_file": psf_file, "local": True, "steps": 3, "samples": 4, "overlap": 16}
    data = scene(48, 128)
    (one, std), (two, _) = (
        fused(job_of(data, unit=unit, noise="gaussian:2", **options)) for unit in (128, 64)
    )
    change = np.sqrt(np.mean(((two - one) / std.mean()) ** 2, axis=0))
    assert change.max() < 0.25
    assert change[:32].max() < 0.1


# --- the result of a unit ---


def test_kernels_are_normalised_and_one_a_tile(job_of, scene) -> None:
    for psf, alike in (("per-tile", False), ("smooth", False), ("shared", True)):
        job = job_of(scene(64, 64), psf=psf, chains=2)
        result = run_unit(job, 0)
        assert result.kernels.shape == result.kernels_std.shape == (1, job.plan.n_tiles, 8, 8)
        assert result.kernels.min() >= 0
        np.testing.assert_allclose(result.kernels.sum(axis=(-2, -1)), 1, rtol=1e-5)
        assert (np.ptp(result.kernels, axis=1).max() == 0) == alike


def test_kernels_of_neighbouring_nodes_share_no_noise(job_of, scene) -> None:
    largest = next(rule.le for rule in RestoreConfig.model_fields["psf_size"].metadata if hasattr(rule, "le"))
    job = job_of(scene(64, 64), psf="per-tile", kernel_prior="uniform")
    kernel = read_scene(job, 0).kernel
    places = {(site.y, site.x) for site in kernel.sites}
    assert len(places) == job.plan.n_tiles
    assert min(max(abs(a - c), abs(b - d)) for (a, b), (c, d) in combinations(places, 2)) >= largest


def test_smooth_kernels_differ_less_from_their_neighbours(job_of, scene) -> None:
    apart, smooth = (
        run_unit(job_of(scene(72, 72), unit=72, psf=psf, steps=2), 0).kernels
        for psf in ("per-tile", "smooth")
    )
    assert smooth.std(axis=1).mean() < 0.7 * apart.std(axis=1).mean()


def test_a_known_psf_is_kept(job_of, scene, psf_file) -> None:
    job = job_of(scene(64, 64), psf_file=psf_file)
    result = run_unit(job, 0)
    assert result.kernels.shape == (1, job.plan.n_tiles, 9, 9)
    assert not result.kernels_std.any()
    np.testing.assert_array_equal(result.kernels, np.broadcast_to(job.known_psf, result.kernels.shape))


def test_chi2_is_that_of_the_draws_over_each_tile(job_of, scene, tmp_path) -> None:
    """With a PSF of one pixel the prediction is the image itself."""
    point = np.zeros((3, 3))
    point[1, 1] = 1
    np.save(tmp_path / "point.npy", point)
    data = scene(64, 64)
    data[:, :32] = np.nan
    data[40, 50] = np.inf
    job = job_of(data, psf_file=str(tmp_path / "point.npy"), overlap=0, noise="gaussian:2")
    result = run_unit(job, 0)
    squares = ((result.images - data) / 2) ** 2
    squares[~np.isfinite(squares)] = np.nan
    expected = [np.nan, *(np.nanmean(squares[:, rows, 32:]) for rows in (slice(0, 32), slice(32, 64)))]
    np.testing.assert_allclose(result.chi2[0], [expected[i] for i in (0, 1, 0, 2)], rtol=1e-4)


def test_unusable_and_saturated_pixels_are_marked_and_all_is_finite(job_of, scene) -> None:
    data = scene(32, 32)
    data[3, 4], data[5, 6], data[7, 8] = np.nan, np.inf, 1e4
    source = xr.DataArray(data, dims=("y", "x"), attrs={"saturation": 1e3})
    result = run_unit(job_of(source), 0)
    assert list(zip(*np.nonzero(result.mask), strict=True)) == [(3, 4), (5, 6)]
    assert list(zip(*np.nonzero(result.saturated), strict=True)) == [(7, 8)]
    assert np.isfinite(result.images).all()


def test_a_callback_sees_every_step_and_may_end_the_run(job_of, scene) -> None:
    job = job_of(scene(32, 32), steps=2)
    seen: list[int] = []
    run_unit(job, 0, lambda progress: seen.append(progress.step))
    # of two chains, two steps each that estimate the PSF, and of two draws, two that restore
    assert seen == [1, 2, 1, 2, 3, 4, 3, 4]
    with pytest.raises(KeyboardInterrupt):
        run_unit(job, 0, lambda progress: (_ for _ in ()).throw(KeyboardInterrupt))


def test_chains_that_are_not_finite_give_no_estimate(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = engine_unit.sample

    def spoiled(*arguments: Any, **options: Any) -> Posterior:
        found = drawn(*arguments, **options)
        kernels = torch.full_like(found.samples["kernel"], torch.nan)
        return replace(found, samples={**found.samples, "kernel": kernels}, chi2=torch.zeros_like(found.chi2))

    monkeypatch.setattr(engine_unit, "sample", spoiled)
    with pytest.raises(InputError, match="left the finite numbers"):
        run_unit(job_of(scene(48, 48), chains=2), 0)


def test_a_prior_that_knows_where_it_errs_asks_for_less_detail(job_of, scene) -> None:
    """One that takes its error to be alike everywhere needs more: the flat parts have too much of it."""
    job = job_of(scene(40, 40))
    details = [
        read_scene(replace(job, image_prior=measured(job, activities)), 0).image.detail
        for activities in ((), (0.01, 0.1))
    ]
    assert details[0] > details[1] > 0


def measured(job: Job, activities: tuple[float, ...] = ()) -> Prior:
    """Return the job's image prior with an error of its own."""
    net = copy.copy(job.image_prior)
    factors = ((1.0,) * len(activities),) * 2 if activities else ()
    net.error = ErrorTable("frequency", (0.1, 1.0), (0.0, 0.5), ((1e-3, 1e-3),) * 2, activities, factors)
    return net


def test_only_an_error_that_was_measured_is_widened(job_of, scene) -> None:
    """And not while few steps seek the kernel, too: they would not find back from a wrong one."""
    for steps, sought in ((12, 1.0), (32, 8.0)):
        job = job_of(scene(40, 40), steps=steps)
        assert read_scene(job, 0).sampler.widest == 1
        known = replace(job, image_prior=measured(job))
        posed = read_scene(known, 0)
        assert posed.sampler.widest == 8
        assert blind_scene(known, posed).sampler.widest == sought


def test_chains_begin_wide_where_their_steps_suffice_to_narrow(job_of, scene) -> None:
    widths, noises = {}, {}
    for sampler, steps in (("split", 12), ("split", 32), ("dps", 250)):
        job = job_of(scene(64, 64), sampler=sampler, steps=steps, psf_size=32, kernel_prior="uniform")
        posed = read_scene(job, 0)
        kernel, image = posed.kernel, blind_scene(job, posed).image
        widths[sampler, steps] = kernel_width(kernel.physical(kernel.start)[0, 0].numpy(), kind="fwhm")
        noises[sampler, steps] = image.noise_range[0]
        # Once the kernels are agreed on, the image begins with the same noise whatever the steps.
        assert posed.image.noise_range[0] == 1
    assert widths["split", 32] > 1.3 * widths["split", 12] > 7
    assert noises["split", 32] > 2 * noises["split", 12] == 2 * noises["dps", 250] > 0
    assert widths["dps", 250] == pytest.approx(widths["split", 12], rel=0.02)
