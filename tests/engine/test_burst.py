"""Bursts: one scene from all frames, with kernels and tilts of each; bad frames; whole runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from astropy.io import fits

import blinddps_sci
import blinddps_sci.engine.burst as engine_burst
from blinddps_sci.engine.budget import cost
from blinddps_sci.engine.burst_scene import chi2_by_tile, operator_of, pose
from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.refinement import RESTART
from blinddps_sci.engine.restore import resume, verify
from blinddps_sci.engine.tilts import TiltModel
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.errors import ConfigError, PriorError
from blinddps_sci.io import Window
from blinddps_sci.io.result import open_result
from blinddps_sci.operators.warp import TiltGrid
from blinddps_sci.priors.uninformative import UniformPrior
from blinddps_sci.simulate import PRESETS, simulate_burst

FRAMES = 3


@pytest.fixture
def burst(small: dict[str, Any]) -> dict[str, Any]:
    """Options of the restoration of a burst in seconds."""
    return {**small, "model": "turbulence", "psf": "per-tile", "reach": 4, "samples": 2, "chains": 1}


@pytest.fixture
def frames(scene) -> np.ndarray:
    """Return a scene that is displaced by a pixel to and fro."""
    still = scene(46, 54, seed=4)
    return np.stack([still[i : i + 44, 2 * i : 2 * i + 50] for i in range(FRAMES)])


@pytest.fixture
def burst_job(job_of, burst) -> Callable[..., Any]:
    return lambda source, **options: job_of(source, **{**burst, **options})


def saturated(job: Job, level: float) -> Job:
    """Return a job whose data of a level and above are lower limits."""
    (channel,) = job.channels
    return replace(job, channels=(replace(channel, noise=replace(channel.noise, saturation=level)),))


def test_all_frames_become_one_scene(burst_job, frames: np.ndarray) -> None:
    job = burst_job(frames)
    assert (job.frames, job.leading, job.plan.planes) == (FRAMES, {}, 1)
    steps: list[int] = []
    result = run_unit(job, 0, lambda progress: steps.append(progress.step))
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) <= job.steps
    nodes = len(job.plan.tiles(result.unit))
    assert result.images.shape == (2, *result.unit.data.shape)
    assert result.kernels.shape == result.kernels_std.shape == (FRAMES, nodes, 8, 8)
    np.testing.assert_allclose(result.kernels.sum(axis=(-2, -1)), 1, rtol=1e-3)
    assert result.chi2.shape == (FRAMES, nodes)
    assert result.tilt is not None
    np.testing.assert_allclose(result.tilt.mean(axis=0), 0, atol=1e-4)
    # Frame 0 sees what lies further up and left than the others do.
    assert (result.tilt[0] < result.tilt[2]).all()


@pytest.mark.parametrize("explained", [True, False])
def test_kernels_are_refined_until_they_explain_the_frames(
    burst_job, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch, explained: bool
) -> None:
    monkeypatch.setattr(engine_burst, "_EXPLAINED", np.inf if explained else 0.0)
    job = burst_job(frames)
    steps: list[int] = []
    result = run_unit(job, 0, lambda progress: steps.append(progress.step))
    assert len(job.plan.tiles(result.unit)) > 1
    alike = np.ptp(result.kernels, axis=1).max() < 1e-6
    assert alike == explained
    assert len(steps) == (job.config.steps + RESTART if explained else job.steps)


def test_a_frame_may_be_darker_than_the_others(burst_job, frames: np.ndarray) -> None:
    options = {"noise": "gaussian:2", "quality": "fast"}
    equal = run_unit(burst_job(frames, **options), 0)
    result = run_unit(burst_job(frames * np.float32([[[0.9]], [[1.05]], [[1.05]]]), **options), 0)
    assert result.chi2.max() < 1.5 * equal.chi2.max()
    np.testing.assert_allclose(result.images.mean(), equal.images.mean(), rtol=0.01)


def test_frames_that_show_nothing_are_left_out(burst_job, frames: np.ndarray) -> None:
    plain = np.concatenate([frames, np.full_like(frames[:1], 180.0), np.full_like(frames[:1], np.nan)])
    result = run_unit(burst_job(plain), 0)
    assert np.isfinite(result.images).all()
    assert np.isfinite(result.kernels[:FRAMES]).all()
    assert np.isnan(result.kernels[FRAMES:]).all()
    assert np.isnan(result.chi2[FRAMES:]).all()
    assert result.tilt is not None
    assert np.isnan(result.tilt[FRAMES:]).all()
    assert not result.mask.any()


def test_frames_that_show_nothing_may_be_most(burst_job, frames: np.ndarray) -> None:
    plain = np.concatenate([frames, np.full((4, *frames.shape[1:]), 180.0, np.float32)])
    result = run_unit(burst_job(plain, noise="gaussian:2"), 0)
    assert np.isfinite(result.chi2).all(axis=1).tolist() == [True] * FRAMES + [False] * 4
    alone = run_unit(burst_job(frames, noise="gaussian:2"), 0)
    np.testing.assert_allclose(result.images.mean(), alone.images.mean(), rtol=0.01)


def test_an_image_without_time_is_a_burst_of_one_frame(burst_job, frames: np.ndarray) -> None:
    result = run_unit(burst_job(frames[0]), 0)
    assert np.isfinite(result.images).all()
    assert result.kernels.shape[0] == 1


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("level", [0.0, 180.0])
def test_a_blank_frame_says_nothing_of_the_noise_and_the_range(
    burst_job, frames: np.ndarray, place: int, level: float
) -> None:
    noisy = frames + np.random.default_rng(0).normal(0, 2, frames.shape).astype(np.float32)
    alone, blank = burst_job(noisy), burst_job(np.insert(noisy, place, level, axis=0))
    assert blank.channels[0].stretch == alone.channels[0].stretch
    assert blank.channels[0].noise.sigma == pytest.approx(alone.channels[0].noise.sigma, rel=0.2)


def test_flags_are_those_of_the_frames_that_are_used(burst_job, frames: np.ndarray) -> None:
    blank = np.concatenate([frames, np.full_like(frames[:1], 180.0)])
    blank[:FRAMES, 5, 7] = np.nan  # finite in the blank frame only
    blank[0, 20, 20] = 250.0  # a lower limit, the frame beside it an exact value
    blank[:FRAMES, 30, 30] = 250.0
    blank[1, 30, 30] = np.nan
    job = burst_job(blank, noise="gaussian:2")
    result = run_unit(saturated(job, 240.0), 0)
    assert np.argwhere(result.mask).tolist() == [[5, 7]]
    assert [30, 30] in np.argwhere(result.saturated).tolist()
    assert not result.saturated[20, 20]
    assert not result.saturated[5, 7]


def test_noise_of_a_draw_does_not_depend_on_how_often_kernels_were_refined(
    burst_job, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[list[int]] = []
    drawn = engine_burst.sample

    def told(*arguments: Any, **options: Any) -> Any:
        numbers[-1].append(options["seeds"][0].sample)
        return drawn(*arguments, **options)

    monkeypatch.setattr(engine_burst, "sample", told)
    for explained in (np.inf, 0.0):
        numbers.append([])
        monkeypatch.setattr(engine_burst, "_EXPLAINED", explained)
        run_unit(burst_job(frames, samples=3), 0)
    few, many = numbers
    assert len(few) < len(many)
    assert few[-2:] == many[-2:]
    assert all(len(set(each)) == len(each) for each in numbers)


def test_a_frame_that_is_dark_in_one_colour_stops_nothing(burst_job, frames: np.ndarray) -> None:
    colours = np.stack([frames] * 3, axis=1)
    colours[1, 0] = 0  # red, of a frame that green shows
    job = burst_job(xr.DataArray(colours, dims=("t", "c", "y", "x")), noise="gaussian:2", samples=1)
    result = run_unit(job, 0)
    assert job.index(result.unit.plane)["c"] == 0
    assert np.isfinite(result.images).all()


def test_saturation_that_one_draw_satisfies_counts_in_the_others(burst_job, frames: np.ndarray) -> None:
    job = burst_job(frames, noise="gaussian:2")
    job = saturated(job, float(frames.min()))  # all are lower limits
    unit = job.plan.unit_at(0)
    scene = pose(job, unit, engine_burst.frames_of(job, unit))
    assert scene is not None
    grid = scene.nodes
    size = job.plan.kernel_size
    kernels = torch.zeros(2, FRAMES * grid[0] * grid[1], size, size)
    kernels[..., size // 2, size // 2] = 1
    image = torch.full((2, 1, *unit.canvas.shape), 1e4)
    image[1] = 0.0  # above all limits in one draw, below in the other
    tilt = torch.zeros(2, FRAMES * 2, *scene.tilts.grid)
    samples = {"image": image, "kernel": kernels, "tilt": tilt}
    assert torch.isfinite(chi2_by_tile(scene, operator_of(job, scene, grid), samples)).all()


def test_units_that_keep_other_frames_agree_on_where_the_scene_is(burst_job, frames: np.ndarray) -> None:
    job = burst_job(frames, keep=0.67)
    unit = job.plan.unit_at(0)
    sharp = np.stack([3 * f - f.mean() * 2 for f in frames])
    scenes = [
        pose(job, unit, Window(np.where(np.arange(FRAMES)[:, None, None] == dull, frames, sharp), None, mask))
        for dull, mask in ((0, np.zeros(frames.shape, bool)), (2, np.zeros(frames.shape, bool)))
    ]
    assert [scene.used.tolist() for scene in scenes if scene] == [[1, 2], [0, 1]]
    tilts = [dict(zip(s.used.tolist(), s.registered.tilt.tolist(), strict=True)) for s in scenes if s]
    np.testing.assert_allclose(tilts[0][1], tilts[1][1], atol=0.15)  # frame 1 is in both


def test_bad_pixels_of_one_frame_are_those_of_no_other(burst_job, frames: np.ndarray) -> None:
    frames[0, 5, 7] = np.nan
    frames[1, 20:24, 20:24] = 1e6
    job = burst_job(frames, noise="gaussian:2")
    result = run_unit(job, 0)
    assert np.isfinite(result.images).all()
    assert not result.mask.any()
    frames[:, 40, 41] = np.nan
    assert run_unit(burst_job(frames, noise="gaussian:2"), 0).mask.sum() == 1


def test_the_sharpest_frames_are_kept(burst_job, frames: np.ndarray) -> None:
    frames[1] = (frames[1] + np.roll(frames[1], 2, axis=0) + np.roll(frames[1], 2, axis=1)) / 3
    result = run_unit(burst_job(frames, keep=0.67), 0)
    assert np.isfinite(result.chi2).all(axis=1).tolist() == [True, False, True]
    weight = result.figures["weight"]
    assert (weight > 0).all(axis=1).tolist() == [True, False, True]
    np.testing.assert_allclose(weight.sum(axis=0), 2, rtol=1e-5)


def test_the_published_sampler_restores_bursts(burst_job, frames: np.ndarray) -> None:
    result = run_unit(burst_job(frames, sampler="dps", steps=3), 0)
    assert np.isfinite(result.images).all()
    assert result.images.shape[0] == 2


def test_single_frames_are_scenes_of_their_own(burst_job, frames: np.ndarray) -> None:
    job = burst_job(frames, frames="single")
    assert (job.frames, job.leading, job.plan.planes) == (1, {"t": FRAMES}, FRAMES)
    result = run_unit(job, 2)
    assert result.kernels.shape[0] == 1
    assert result.tilt is not None
    np.testing.assert_allclose(result.tilt.mean(axis=(-2, -1)), 0, atol=1e-4)


@pytest.mark.parametrize("sampler", ["split", "dps"])
@pytest.mark.parametrize("choice", ["uniform", "relative", "linear"])
def test_tilts_have_the_prior_that_is_asked_for(
    burst_job, frames: np.ndarray, tilt_networks: dict[str, str], choice: str, sampler: str
) -> None:
    job = burst_job(frames, tilt_prior=tilt_networks.get(choice, choice), sampler=sampler, samples=1)
    assert ("tilt" in job.weights) == (choice != "uniform")
    assert job.fingerprint != burst_job(frames, sampler=sampler, samples=1).fingerprint
    result = run_unit(job, 0)
    rows, columns = job.plan.nodes()
    assert result.tilt is not None
    assert result.tilt.shape == (FRAMES, 2, len(rows), len(columns))
    assert np.isfinite(result.images).all()
    assert np.ptp(result.tilt) > 0
    np.testing.assert_allclose(result.tilt.mean(axis=0), 0, atol=1e-4)


def test_tilts_at_every_pixel_are_kept_at_the_kernels_nodes() -> None:
    nodes = TiltGrid([3.0, 9.6], [2.0, 8.0, 14.0], (13, 17))
    model = TiltModel.network(UniformPrior(), relative=False)
    dense = model.grid(nodes)
    assert dense.grid == (16, 24)
    field = torch.arange(16.0)[:, None] * 100 + torch.arange(24.0)
    assert model.at(nodes, field).tolist() == [[302, 308, 314], [1002, 1008, 1014]]
    torch.testing.assert_close(dense.apply(field), field[:13, :17])
    sparse = TiltModel()
    assert sparse.grid(nodes) is nodes
    assert sparse.at(nodes, field) is field


def test_tilts_of_a_single_frame_may_differ_from_pixel_to_pixel(burst_job, frames: np.ndarray) -> None:
    alone, together = (burst_job(frames, tilt_prior="uniform", frames=choice) for choice in ("single", "all"))
    assert (alone.tilt_model.dense, together.tilt_model.dense) == (True, False)
    result = run_unit(alone, 1)
    assert result.tilt is not None
    assert np.ptp(result.tilt) > 0


def test_a_tilt_prior_that_is_not_there_is_named(burst_job, frames: np.ndarray) -> None:
    with pytest.raises(PriorError, match="unknown tilt prior 'sea'; give one of"):
        burst_job(frames, tilt_prior="sea")


@pytest.mark.parametrize("choice", ["all", "single"])
def test_a_store_has_kernels_and_tilts_of_every_frame(
    burst, frames: np.ndarray, tmp_path: Path, choice: str
) -> None:
    path = tmp_path / "out.zarr"
    restored = blinddps_sci.restore(frames, path, **{**burst, "frames": choice})
    nodes = (restored.sizes["node_y"], restored.sizes["node_x"])
    assert restored["image"].dims == (("y", "x") if choice == "all" else ("t", "y", "x"))
    assert restored["psf_kernel"].shape == (FRAMES, 1, *nodes, 8, 8)
    assert restored["tilt"].shape == (FRAMES, *nodes, 2)
    assert restored["chi2"].shape == restored["weight"].shape == (FRAMES, 1, *nodes)
    for name in ("image", "std", "psf_kernel", "tilt", "chi2", "weight"):
        assert np.isfinite(restored[name].values).all(), name
    assert verify(path) == {}
    store = open_result(path)
    zarr.open_array(str(store.path / "tilt" / "displacement"), mode="r+")[1, 0, 0, 0] = 9.0
    assert list(verify(path).values()) == ["tilt/displacement is not what was written"]


def test_a_fits_file_of_a_burst_has_everything(burst, frames: np.ndarray, tmp_path: Path) -> None:
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 5.0})
    header.update({"CRPIX1": 20.0, "CRPIX2": 21.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    fits.writeto(tmp_path / "burst.fits", frames, header)
    blinddps_sci.restore(tmp_path / "burst.fits", tmp_path / "out.fits", **burst)
    with fits.open(tmp_path / "out.fits") as hdus:
        assert hdus["SCI"].data.shape == hdus["ERR"].data.shape == frames.shape[1:]
        assert hdus["SCI"].header["CRPIX1"] == 20.0
        assert hdus["TILT"].data.shape[0] == hdus["CHI2"].data.shape[0] == FRAMES
        np.testing.assert_allclose(hdus["WEIGHT"].data.mean(axis=0), 1, rtol=1e-5)
        assert np.isfinite(hdus["TILT"].data).all()


def test_workers_give_the_same_burst(burst, frames: np.ndarray, digests, tmp_path: Path) -> None:
    burst |= {"unit": 32}
    alone, together = tmp_path / "alone.zarr", tmp_path / "together.zarr"
    blinddps_sci.restore(frames, alone, **burst)
    blinddps_sci.restore(frames, together, workers=2, **burst)
    assert digests(alone) == digests(together)
    assert open_result(alone).array("scale0/image").shape == (44, 50)


def test_a_burst_that_was_stopped_goes_on(burst, frames: np.ndarray, digests, tmp_path: Path) -> None:
    burst |= {"unit": 32}
    whole, stopped = tmp_path / "whole.zarr", tmp_path / "stopped.zarr"
    blinddps_sci.restore(frames, whole, **burst)

    def stop(event: Any) -> None:
        if event.unit == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        blinddps_sci.restore(frames, stopped, callback=stop, **burst)
    seen: set[tuple[str, int]] = set()
    resume(stopped, callback=lambda event: seen.add((event.phase, event.unit)))
    assert {unit for phase, unit in seen if phase == "restore"} == {2, 3}
    assert digests(stopped) == digests(whole)


def test_the_cost_grows_with_the_frames(burst_job, frames: np.ndarray) -> None:
    few, many = (cost(burst_job(np.concatenate([frames] * n))) for n in (1, 8))
    assert many.memory_bytes > 3 * few.memory_bytes
    assert many.evaluations == few.evaluations > 0
    assert many.files is not None
    assert many.files > few.files


def test_presets_are_those_of_bursts() -> None:
    config = make_config({"model": "turbulence"})
    assert (config.psf_size, config.psf, config.tile, config.overlap) == (64, "per-tile", 96, 48)
    assert make_config({"model": "turbulence", "quality": "best"}).samples > config.samples
    assert make_config({"model": "turbulence", "sampler": "dps"}).steps == 1000
    assert make_config({"model": "turbulence", "tile": 128}).tile == 128


def test_what_does_not_go_with_turbulence_is_refused(burst_job, frames: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="another PSF in every frame and tile"):
        burst_job(frames, psf="shared")
    with pytest.raises(ConfigError, match="another PSF in every frame and tile"):
        burst_job(frames, psf_file="psf.npy")
    slices = xr.DataArray(np.stack([frames, frames], axis=1), dims=("t", "z", "y", "x"))
    with pytest.raises(ConfigError, match="an axis z of length 2; restore the slices one by one"):
        burst_job(slices)


def test_channels_share_their_tilts(burst, burst_job, frames: np.ndarray, tmp_path: Path) -> None:
    colours = np.stack([0.5 * frames, frames, 0.8 * frames + 20], axis=1)
    colours[1, 2] = np.nan  # a frame that one channel lacks
    path = tmp_path / "out.zarr"
    found = blinddps_sci.restore(colours, path, **burst)
    assert found["image"].dims == ("c", "y", "x")
    nodes = (found.sizes["node_y"], found.sizes["node_x"])
    assert found["psf_kernel"].shape == (FRAMES, 3, *nodes, 8, 8)
    assert found["tilt"].shape == (FRAMES, *nodes, 2)
    assert np.isfinite(found["image"].values).all()
    assert (found["weight"][1, 2] == 0).all()
    assert verify(path) == {}
    # One draw, so that the tilts that the others are given are those that the middle one returns.
    job = burst_job(colours, samples=1)
    steps: list[list[int]] = [[], [], []]
    red, green, blue = (
        run_unit(job, n, lambda progress, of=of: of.append(progress.step)).tilt for n, of in enumerate(steps)
    )
    np.testing.assert_array_equal(red, green)
    np.testing.assert_array_equal(blue[[0, 2]], green[[0, 2]])
    assert np.isnan(blue[1]).all()
    # While the middle one is drawn for the others, they are at their beginning.
    assert 0 < len(steps[1]) <= job.steps
    assert [of.count(0) for of in steps] == [len(steps[1]), 0, len(steps[1])]
    assert all(of[-1] > 0 for of in steps)


def test_a_simulated_burst_is_explained_by_what_is_found() -> None:
    rng = np.random.default_rng(3)
    still = np.kron(rng.random((28, 28)), np.ones((8, 8)))
    truth = simulate_burst(still, PRESETS["solar-1m"].with_strength(2.0), 3, rng, sigma=0.01)
    restored = blinddps_sci.restore(
        truth.frames, model="turbulence", noise="gaussian:0.01", steps=5, samples=1, device="cpu"
    )
    tilt = truth.tilt.mean(axis=(2, 3)) - truth.tilt.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(restored["tilt"].mean(dim=("node_y", "node_x")).values, tilt, atol=0.7)
    assert float(restored["chi2"].mean()) < 2
