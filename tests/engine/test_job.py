"""What is decided once for a whole stack: plan, stretch, noise, networks, device, fingerprint."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from astropy.io import fits

from blinddps_sci.engine import networks
from blinddps_sci.engine.config import RestoreConfig
from blinddps_sci.engine.job import prepare
from blinddps_sci.engine.networks import choose_device
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.errors import ConfigError, InputError, PriorError
from blinddps_sci.io import open_stack
from blinddps_sci.priors.error import ErrorTable
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.priors.store import load_denoiser, save_denoiser
from blinddps_sci.priors.uninformative import IndependentGaussianPrior, UniformPrior


def test_the_plan_is_that_of_one_plane(job_of, scene) -> None:
    made = job_of(scene(2, 3, 70, 40))
    assert made.leading == {"t": 2, "c": 3}
    assert (made.plan.shape, made.plan.planes) == ((70, 40), 6)
    assert (made.plan.tile, made.plan.overlap, made.plan.unit, made.plan.kernel_size) == (32, 8, 64, 8)
    assert made.index(0) == {"t": 0, "c": 0}
    assert made.index(4) == {"t": 1, "c": 1}
    assert job_of(scene(64, 64)).index(0) == {}
    assert made.margin == 4


@pytest.mark.parametrize(
    ("sampler", "known", "counted"),
    # draws, draws made at once on the processor, steps
    [
        ("split", False, (2, 1, 6)),
        ("split", True, (2, 1, 3)),
        ("dps", False, (6, 1, 3)),
        ("dps", True, (6, 1, 3)),
    ],
)
def test_what_the_samplers_count(
    job_of, scene, tmp_path, sampler: str, known: bool, counted: tuple[int, ...]
) -> None:
    """Two samples and three chains of three steps."""
    np.save(tmp_path / "psf.npy", np.ones((8, 8)))
    options = {"psf_file": str(tmp_path / "psf.npy")} if known else {}
    made = job_of(scene(32, 32), sampler=sampler, chains=3, **options)
    assert (made.draws, made.batch, made.steps) == counted


def test_the_card_says_what_the_kernel_network_sees(job_of, scene, networks, tmp_path: Path) -> None:
    assert job_of(scene(32, 32)).kernel_power == 1
    denoiser, card = load_denoiser(Path(networks["kernel_prior"]))
    path = tmp_path / "amplitude.safetensors"
    save_denoiser(path, denoiser, replace(card, domain="amplitude"))
    assert job_of(scene(32, 32), kernel_prior=str(path)).kernel_power == 2
    assert job_of(scene(32, 32), kernel_prior="uniform").kernel_power == 1


def test_networks_are_known_by_their_digest(job_of, scene, networks) -> None:
    made = job_of(scene(32, 32))
    for role, option in (("image", "prior"), ("kernel", "kernel_prior")):
        assert made.weights[role] == load_prior(networks[option], role)[1].sha256
    assert set(job_of(scene(32, 32), kernel_prior="uniform").weights) == {"image"}


@pytest.mark.parametrize(
    ("name", "kind"), [("uniform", UniformPrior), ("gaussian", IndependentGaussianPrior)]
)
def test_uninformative_kernel_priors_take_any_size(job_of, scene, name: str, kind: type) -> None:
    made = job_of(scene(32, 32), kernel_prior=name, psf_size=13)
    assert isinstance(made.kernel_prior, kind)
    assert made.plan.kernel_size == 13


def test_an_image_of_which_nothing_is_known_needs_no_network(job_of, scene) -> None:
    made = job_of(scene(32, 32), noise="gaussian:2", prior="gaussian", kernel_prior="uniform")
    assert isinstance(made.image_prior, IndependentGaussianPrior)
    assert made.weights == {}
    result = run_unit(made, 0)
    assert np.isfinite(result.images).all()
    assert np.nanmean(result.chi2) < 1.5


def test_a_kernel_network_takes_its_own_size_only(job_of, scene) -> None:
    with pytest.raises(ConfigError, match=r"psf_size 9 .* trained on 8 pixels; use --psf-size 8"):
        job_of(scene(32, 32), psf_size=9)


def test_a_known_psf_decides_the_size_and_needs_no_kernel_network(job_of, scene, tmp_path) -> None:
    np.save(tmp_path / "psf.npy", np.ones((5, 11)))
    made = job_of(scene(32, 32), psf_file=str(tmp_path / "psf.npy"))
    assert made.plan.kernel_size == 11
    assert made.known_psf is not None
    assert set(made.weights) == {"image", "psf"}


def test_networks_of_the_wrong_kind_are_refused(job_of, scene, networks, colour_network) -> None:
    with pytest.raises(PriorError, match="prior of the image is needed"):
        job_of(scene(32, 32), prior=networks["kernel_prior"])
    with pytest.raises(PriorError, match="prior of the kernel is needed"):
        job_of(scene(32, 32), kernel_prior=networks["prior"])
    with pytest.raises(PriorError, match="3 channels"):
        job_of(scene(32, 32), prior=colour_network)
    with pytest.raises(PriorError, match="astro, micro, generic, unlabelled"):
        job_of(scene(32, 32), prior="radio")


def test_a_label_of_the_shipped_network_is_chosen(job_of, scene) -> None:
    one, other = (job_of(scene(32, 32), prior=label).image_prior for label in ("astro", "micro"))
    assert (one.label, other.label) == (0, 1)


@pytest.mark.parametrize("kind", [np.nan, np.inf])
def test_a_stack_without_a_usable_pixel_is_refused(job_of, kind: float) -> None:
    with pytest.raises(InputError, match="no usable pixel"):
        job_of(np.full((32, 32), kind))


def test_an_error_plane_without_a_usable_value_is_refused(job_of, scene) -> None:
    data = scene(32, 32)
    dataset = xr.Dataset({"data": (("y", "x"), data), "variance": (("y", "x"), np.zeros_like(data))})
    with pytest.raises(InputError, match="check the error plane"):
        job_of(dataset)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    auto, cpu, cuda = (RestoreConfig(device=device) for device in ("auto", "cpu", "cuda"))
    assert choose_device(auto) == choose_device(cpu) == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cpu or auto"):
        choose_device(cuda)


@pytest.mark.parametrize("where", [{"workers": 2}, {"scheduler": "tcp://10.0.0.1:8786"}])
def test_a_process_whose_workers_compute_needs_no_device(monkeypatch: pytest.MonkeyPatch, where) -> None:
    for available in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert choose_device(RestoreConfig(device="cuda", **where)) == torch.device("cpu")


# --- the arithmetic of the networks ---


def test_networks_compute_as_asked_and_the_loaded_ones_are_not_changed(job_of, scene) -> None:
    half, single = (job_of(scene(32, 32), precision=precision) for precision in ("bfloat16", "float32"))
    assert [job.image_prior.autocast for job in (half, single)] == [torch.bfloat16, None]
    assert [job.kernel_prior.autocast for job in (half, single)] == [torch.bfloat16, None]
    shared = zip(half.image_prior.parameters(), single.image_prior.parameters(), strict=True)
    assert all(one is other for one, other in shared)
    assert half.fingerprint != single.fingerprint


def test_half_precision_is_used_where_it_is_native_and_no_gradient_is_needed(
    job_of, scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for native, sampler, expected in (
        (torch.bfloat16, "split", "bfloat16"),
        (torch.bfloat16, "dps", "float32"),
        (None, "split", "float32"),
    ):
        monkeypatch.setattr(networks, "fast_half", lambda device, native=native: native)
        made = job_of(scene(32, 32), precision="auto", sampler=sampler)
        assert made.config.precision == expected
        assert made.summary["config"]["precision"] == expected


def test_networks_are_compiled_if_asked_for(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain, compiled = job_of(scene(32, 32)), job_of(scene(32, 32), compile=True)
    x, sigma = torch.randn(1, 1, 32, 32), torch.tensor([0.5])
    assert compiled.image_prior.run is not None
    torch.testing.assert_close(compiled.image_prior(x, sigma), plain.image_prior(x, sigma))
    assert compiled.fingerprint == plain.fingerprint
    assert job_of(scene(32, 32)).image_prior.run is None


def test_without_a_compiler_nothing_is_compiled(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="compiler no-such-compiler; install one"):
        job_of(scene(32, 32), compile=True)


# --- the fingerprint ---


def test_the_fingerprint_is_of_what_decides_the_answer(job_of, scene) -> None:
    data = scene(40, 40)
    reference = job_of(data)
    json.dumps(reference.summary)
    for same in (job_of(data.copy()), job_of(data, memory_limit=3.0)):
        assert same.fingerprint == reference.fingerprint
    other = data.copy()
    other[0, 0] += 1
    changed = [
        job_of(other),
        job_of(data, steps=4),
        job_of(data, seed=1),
        job_of(data, noise="gaussian:1"),
        job_of(data, kernel_prior="uniform"),
        job_of(data, region="0:32,0:32"),
    ]
    assert len({reference.fingerprint, *(job.fingerprint for job in changed)}) == 1 + len(changed)


def test_the_fingerprint_knows_the_psf_that_was_given(job_of, scene, tmp_path: Path) -> None:
    file = tmp_path / "psf.npy"
    fingerprints = []
    for width in (1.0, 2.0):
        np.save(file, np.exp(-(np.arange(-4, 5) ** 2) / width) * np.ones((9, 1)))
        fingerprints.append(job_of(scene(32, 32), psf_file=str(file)).fingerprint)
    assert fingerprints[0] != fingerprints[1]


def test_the_fingerprint_knows_the_error_that_was_measured(job_of, scene) -> None:
    """Notes beside the weights may bring another one."""
    made = job_of(scene(32, 32))
    prints = []
    for value in (1e-3, 2e-3):
        network = copy.copy(made.image_prior)
        network.error = ErrorTable("frequency", (0.1,), (0.0, 0.5), ((value, value),))
        prints.append(replace(made, image_prior=network).fingerprint)
    assert len({made.fingerprint, *prints}) == 3


def test_a_file_is_known_by_its_content_and_not_by_its_folder(small, scene, tmp_path: Path) -> None:
    config = RestoreConfig(**small)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    fits.writeto(tmp_path / "a" / "x.fits", scene(32, 32))
    one = prepare(open_stack(tmp_path / "a" / "x.fits"), config).fingerprint
    (tmp_path / "a" / "x.fits").rename(tmp_path / "b" / "x.fits")
    assert prepare(open_stack(tmp_path / "b" / "x.fits"), config).fingerprint == one
