"""Two phases of a unit: chains estimate its kernels, and images are drawn with what was agreed on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from blinddps_sci.engine import unit as module
from blinddps_sci.engine.scene import read_scene
from blinddps_sci.engine.unit import estimate_unit, restore_unit, run_unit
from blinddps_sci.operators import centroid
from blinddps_sci.operators.base import Given
from blinddps_sci.priors.gaussian import StationaryGaussianPrior
from blinddps_sci.sampling.posterior import Progress
from blinddps_sci.sampling.reconcile import reconcile


@pytest.mark.parametrize(("psf", "chains", "nodes"), [("per-tile", 1, 4), ("smooth", 3, 4), ("shared", 2, 1)])
def test_an_estimate_is_of_every_node(job_of, scene, psf: str, chains: int, nodes: int) -> None:
    job = job_of(scene(40, 80), psf=psf, chains=chains, unit=40)
    estimate = estimate_unit(job, 1)
    used = len(estimate.chains)
    assert 1 <= used <= chains
    assert estimate.chains.shape == (used, nodes, 8, 8)
    torch.testing.assert_close(estimate.chains.sum(dim=(-2, -1)), torch.ones(used, nodes))
    assert centroid(estimate.chains.clamp(min=0)).abs().max() < 0.2
    assert estimate.evidence.shape == (nodes,)
    assert (estimate.evidence > 0).all()
    # The second unit's nodes follow on those of the first, in the grid of the whole field.
    tiles = job.plan.tiles(job.plan.unit_at(1))
    assert estimate.places.tolist() == [list(tile.index) for tile in tiles[:nodes]]
    assert estimate.places[0].tolist() == [0, 2]


def test_there_is_more_evidence_where_there_is_more_to_be_seen(job_of, scene) -> None:
    data = scene(40, 80)
    data[:, 40:] = 200 + np.random.default_rng(0).normal(0, 2, (40, 40))
    job = job_of(data, psf="per-tile", unit=80, overlap=0, noise="gaussian:2")
    found = estimate_unit(job, 0)
    columns = found.places[:, 1]
    assert found.evidence[columns == 0].min() > 5 * found.evidence[columns == 2].max()


def test_the_image_is_drawn_with_kernels_about_the_agreed_ones(
    job_of, scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(scene(40, 40), chains=2, samples=3)
    field = reconcile([estimate_unit(job, 0)], "smooth")
    operators = []
    plain = module.sample

    def watched(data, operator, *args, **options):
        operators.append(operator)
        return plain(data, operator, *args, **options)

    monkeypatch.setattr(module, "sample", watched)
    result = restore_unit(job, 0, field)
    assert all(isinstance(operator, Given) for operator in operators)
    assert torch.equal(torch.cat([operator.known["kernel"] for operator in operators]), field.draws(3))
    np.testing.assert_array_equal(result.kernels[0], field.mean)
    np.testing.assert_array_equal(result.kernels_std[0], field.std)


def test_the_two_phases_share_no_noise(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = []
    plain = module.sample

    def watched(*args, **options):
        streams.append(options["seeds"][0])
        return plain(*args, **options)

    monkeypatch.setattr(module, "sample", watched)
    run_unit(job_of(scene(2, 40, 40), seed=5, chains=3), 1)
    assert {(stream.seed, stream.frame) for stream in streams} == {(5, streams[0].frame)}
    chains, draws = streams[:3], streams[3:]
    assert [stream.sample for stream in chains] == [0, 1, 2]
    assert len({stream.sample for stream in draws}) == 2
    assert min(stream.sample for stream in draws) > 1024


def test_a_kernel_is_found(job_of) -> None:
    """Closer to the truth than the point that does nothing, on a scene with just its prior's spectrum."""
    side, rng = 64, np.random.default_rng(2)
    wave = np.fft.fftfreq(side + 8)
    power = 0.02 / (0.05**2 + wave[:, None] ** 2 + wave**2)
    power /= power.mean()
    sharp = np.fft.ifft2(np.sqrt(power) * np.fft.fft2(rng.standard_normal(power.shape))).real
    places = np.arange(8) - 4
    truth = np.exp(-0.5 * (places[:, None] ** 2 / 2.0 + places**2 / 0.7))
    truth /= truth.sum()
    data = ndimage.convolve(sharp, truth, origin=(-1, -1), mode="wrap")[4:-4, 4:-4]
    data = (data + 0.05 * rng.standard_normal(data.shape)).astype(np.float32)
    job = job_of(
        data, psf="shared", noise="gaussian:0.05", tile=64, overlap=0, chains=3, steps=12,
        kernel_prior="uniform",
    )  # fmt: skip
    scale = float(np.ptp(data)) / 2  # of the linear stretch to the prior's domain
    whole = power.shape
    assert read_scene(job, 0).image.shape[-2:] == whole
    job = replace(job, image_prior=StationaryGaussianPrior(torch.from_numpy(power / scale**2).float()))
    found = reconcile([estimate_unit(job, 0)], "shared").mean[0].numpy()
    point = np.zeros_like(truth)
    point[4, 4] = 1
    assert np.linalg.norm(found - truth) < 0.5 * np.linalg.norm(point - truth)


def test_one_count_runs_through_both_phases(job_of, scene) -> None:
    seen: list[Progress] = []
    run_unit(job_of(scene(32, 32), chains=2, samples=3), 0, seen.append)
    # of every draw by itself, on the processor
    expected = [(chain, step) for chain in range(2) for step in (1, 2, 3)]
    expected += [(draw, step) for draw in range(3) for step in (4, 5, 6)]
    assert [(p.first, p.step) for p in seen] == expected
    assert all(p.steps == 6 for p in seen)
    assert all(len(p.estimates["image"]) == len(p.estimates["kernel"]) == 1 for p in seen)
    assert all(set(p.estimates) == {"image", "kernel"} for p in seen)


def test_nothing_is_known_where_nothing_was_measured(job_of, scene) -> None:
    data = scene(64, 192)
    data[:, 96:] = np.nan
    job, empty = job_of(data, psf="per-tile"), 2
    estimate = estimate_unit(job, empty)
    assert len(estimate.chains) == 0
    assert not estimate.evidence.any()
    result = restore_unit(job, empty, None)
    assert len(result.images) == 0
    assert result.mask.all()
    assert np.isnan(result.kernels).all()
    assert np.isnan(result.chi2).all()
