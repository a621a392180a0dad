"""Small problems and networks of a few weights, so that whole restorations take a second."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.job import Job, prepare
from blinddps_sci.io import open_stack
from blinddps_sci.priors.store import PriorCard, save_denoiser
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.uninformative import IndependentGaussianPrior, UniformPrior
from blinddps_sci.priors.wrap import EDMDenoiser

PSF = 8


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _write_network(path: Path, role: str, size: int, channels: int = 1, **card: Any) -> str:
    """Write a network whose answer depends on neighbouring pixels; return its path."""
    torch.manual_seed(5)
    config = UNetConfig(
        channels, channels, 4, (1,), norm_groups=2, resblock_updown=False, middle_attention=False
    )
    net = UNet(config)
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.add_(0.05 * torch.randn_like(tensor))
    known = PriorCard(role=role, net=config.as_dict(), parameterisation="edm", size=size, **card)
    save_denoiser(path, EDMDenoiser(net), known)
    return str(path)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Options of a restoration with small networks."""
    folder = tmp_path_factory.mktemp("networks")
    return {
        "prior": _write_network(folder / "image.safetensors", "image", 32),
        "kernel_prior": _write_network(folder / "kernel.safetensors", "kernel", PSF),
    }


@pytest.fixture
def colour_network(tmp_path: Path) -> str:
    """Path of an image network of three channels."""
    return _write_network(tmp_path / "colour.safetensors", "image", 32, channels=3)


@pytest.fixture(scope="session")
def tilt_networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of networks of tilts by their domain: relative ones at nodes, or pixels at every pixel."""
    folder = tmp_path_factory.mktemp("tilts")
    return {
        domain: _write_network(folder / f"{domain}.safetensors", "tilt", 16, 2, domain=domain)
        for domain in ("relative", "linear")
    }


@pytest.fixture
def small(networks: dict[str, str]) -> dict[str, Any]:
    """Options of a restoration of a second."""
    return {
        **networks,
        "psf_size": PSF,
        "steps": 3,
        "chains": 2,
        "samples": 2,
        "tile": 32,
        "overlap": 8,
        "unit": 64,
        "device": "cpu",
        "precision": "float32",
    }


@pytest.fixture
def scene() -> Callable[..., np.ndarray]:
    """Maker of smooth scenes with noise of sigma 2 on a range of about 100."""

    def make(*shape: int, seed: int = 3) -> np.ndarray:
        rng = np.random.default_rng(seed)
        smooth = ndimage.gaussian_filter(rng.standard_normal(shape), [0] * (len(shape) - 2) + [3, 3])
        noise = rng.normal(0, 2, shape)
        return (200 + 20 * smooth / smooth.std() + noise).astype(np.float32)

    return make


@pytest.fixture
def job_of(small: dict[str, Any]) -> Callable[..., Job]:
    """Maker of jobs over an array; ``local=True`` gives both unknowns priors of single pixels."""

    def make(source: Any, *, local: bool = False, **options: Any) -> Job:
        config = make_config({**small, **options})
        job = prepare(open_stack(source, region=config.region), config)
        if local:
            job = replace(job, image_prior=IndependentGaussianPrior(), kernel_prior=UniformPrior())
        return job

    return make


@pytest.fixture
def digests() -> Callable[[Path], dict[str, str]]:
    """Return a function: the SHA-256 of every file in a folder, however deep, but of metadata."""

    def of(path: Path) -> dict[str, str]:
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json")
        return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    return of
