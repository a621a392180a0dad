"""What is measured once on a stack: the range and the noise of every channel."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.engine import channels
from blinddps_sci.engine.burst import frames_of
from blinddps_sci.engine.burst_scene import pose
from blinddps_sci.engine.channels import Channel
from blinddps_sci.engine.job import prepare
from blinddps_sci.engine.summary import describe_job
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.errors import InputError


def dyes(*planes: np.ndarray) -> xr.DataArray:
    return xr.DataArray(np.stack(planes), dims=("c", "y", "x"))


def test_every_channel_has_a_range_and_noise_of_its_own(job_of, scene) -> None:
    """A dye that is fifty times as bright, on another background, is restored as if it were alone."""
    faint = scene(40, 40)
    bright = (50 * faint + 1000).astype(np.float32)
    job = job_of(dyes(faint, bright))
    assert job.channels == (*job_of(faint).channels, *job_of(bright).channels)
    assert job.channels[1].noise.sigma == pytest.approx(50 * job.channels[0].noise.sigma, rel=1e-3)
    assert [job.channel_of(job.plan.unit_at(n)) for n in (0, 1)] == list(job.channels)
    chi2 = [float(run_unit(job, n).chi2.mean()) for n in (0, 1)]
    assert chi2[1] == pytest.approx(chi2[0], rel=0.2)
    assert abs(run_unit(job, 1).images.mean() - bright.mean()) < 0.1 * bright.std()


def test_slices_and_frames_share_what_is_measured(job_of, scene) -> None:
    stack = scene(2, 3, 40, 40)
    job = job_of(xr.DataArray(stack, dims=("c", "z", "y", "x")))
    assert len(job.channels) == 2
    units = [job.plan.unit_at(n) for n in range(job.plan.n_units)]
    assert [job.channels.index(job.channel_of(unit)) for unit in units] == [0, 0, 0, 1, 1, 1]


def test_a_channel_without_a_usable_pixel_borrows(job_of, scene) -> None:
    data = scene(40, 40)
    job = job_of(dyes(np.full_like(data, np.nan), data))
    assert job.channels == job_of(data).channels * 2
    with pytest.raises(InputError, match="no usable pixel"):
        job_of(dyes(*[np.full_like(data, np.nan)] * 2))


def test_a_channel_without_a_valid_variance_borrows(job_of, scene) -> None:
    data = scene(2, 40, 40)
    variance = np.full_like(data, 4.0)
    variance[1] = 0
    stack = xr.Dataset({"data": (("c", "y", "x"), data), "variance": (("c", "y", "x"), variance)})
    stack.attrs["dtype_on_disk"] = "float32"
    job = prepare(stack, job_of(data[0]).config)
    assert job.channels == (job.channels[0],) * 2
    assert job.channels[0].noise.kind == "variance"
    with pytest.raises(InputError, match="positive, finite variance"):
        prepare(stack.isel(c=[1]), job.config)


def test_a_channel_of_which_the_overview_sees_nothing_is_measured(
    job_of, scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = scene(40, 40)
    alone = job_of(data)
    monkeypatch.setattr(
        channels, "overview", lambda stack, **_: [np.empty(0)] * stack["data"].sizes.get("c", 1)
    )
    assert job_of(dyes(data, data)).channels == alone.channels * 2


def test_of_very_many_channels_some_are_measured(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "_MEASURED", 2)
    first, second, third = (factor * scene(40, 40) for factor in (1, 2, 3))
    made = job_of(dyes(first, second, second, third)).channels
    assert made[0] == made[1] == job_of(first).channels[0]
    assert made[2] == made[3] == job_of(third).channels[0]


def test_colours_of_a_burst_have_noise_of_their_own(job_of, scene) -> None:
    """The scene of each is posed with its own; the range is wider than the frames' by one factor."""
    still = scene(46, 54, seed=4)
    frames = np.stack([still[i : i + 44, 2 * i : 2 * i + 50] for i in range(3)])
    stack = xr.DataArray(np.stack([frames, 10 * frames], axis=1), dims=("t", "c", "y", "x"))
    job = job_of(stack, model="turbulence", psf="per-tile", reach=4)
    found = []
    for n in (0, 1):
        unit = job.plan.unit_at(n)
        posed = pose(job, unit, frames_of(job, unit))
        assert posed is not None
        found.append(float(posed.likelihood.noise_level(posed.data)))
    assert found[1] == pytest.approx(10 * found[0], rel=1e-3)
    ranges = [channel.stretch.high - channel.stretch.low for channel in job.channels]
    assert ranges[1] == pytest.approx(10 * ranges[0], rel=1e-3)


def test_what_was_measured_survives_as_plain_values(job_of, scene) -> None:
    stars = scene(40, 40)
    stars[20, 20] = 1e6
    for channel in (*job_of(scene(40, 40)).channels, *job_of(stars, noise="poisson-gaussian:2,1").channels):
        assert Channel.from_dict(channel.as_dict) == channel


def test_channels_that_differ_are_described_each(job_of, scene) -> None:
    data = scene(40, 40)
    assert describe_job(job_of(dyes(data, data))).count("noise") == 1
    text = describe_job(job_of(dyes(data, 2 * data)))
    assert "stretch of channel 1: LinearStretch" in text
    assert "noise of channel 0: gaussian with sigma" in text
    borrowed = describe_job(job_of(dyes(data, data, 2 * data, 2 * data)))
    assert [n for n in range(4) if f"noise of channel {n}" in borrowed] == [0, 2]


def test_planes_without_a_usable_pixel_are_passed_over(job_of, scene) -> None:
    """Noise and stretch are those of the planes that hold something."""
    data = scene(4, 40, 40)
    reference = job_of(data[[1, 3]])
    data[[0, 2]] = np.nan
    made = job_of(data)
    assert made.channels == reference.channels
    assert np.isfinite(run_unit(made, 0).images).all()


def test_the_noise_is_that_of_the_middle_of_a_stack(job_of, scene) -> None:
    data = scene(3, 40, 40)
    expected = job_of(data[1]).channels[0].noise.sigma
    data[[0, 2]] = data[[0, 2]].mean()
    assert job_of(data).channels[0].noise.sigma == expected


def test_the_noise_is_measured_where_the_image_is(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image with nothing in its middle, larger than the window that is looked at."""
    monkeypatch.setattr(channels, "_SAMPLE_SIDE", 32)
    data = scene(96, 100)
    expected = job_of(data).channels[0].noise.sigma
    data[:, 30:68] = np.nan
    data[:40, 68:] = np.nan
    assert job_of(data).channels[0].noise.sigma == pytest.approx(expected, rel=0.2)
