"""`blinddps bench parity`: our sampler against a stored run of the published code.

A file holds tiny networks, the starting noise, every noise draw and the trajectory of the
algorithm as it was released; our loop, in its compatibility mode, must follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.errors import InputError
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.operators.published import PublishedBlur, PublishedTurbulence
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import VPDenoiser
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import Role, Site
from blinddps_sci.sampling.posterior import Progress
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.schedule import published_levels
from blinddps_sci.sampling.unknown import Identity, KernelMap, Unknown

__all__ = ["TOLERANCE", "compare"]

TOLERANCE = 2e-4
"""Largest difference allowed at any stored point."""

_EVERY = 10


@dataclass(frozen=True)
class _Recorded:
    """The stored draws as a noise source."""

    stored: dict[str, np.ndarray]

    def __call__(self, unknown: str, role: Role, step: int, sites: Sequence[Site], like: Tensor) -> Tensor:
        if role is Role.START:
            return torch.from_numpy(self.stored[f"init_{unknown}"]).to(like)
        return torch.from_numpy(self.stored[f"noise_{unknown}"][step]).reshape(like.shape).to(like)


def _prior(stored: dict[str, np.ndarray], name: str, steps: int) -> VPDenoiser:
    prefix = f"weights/{name}/"
    weights = {
        key.removeprefix(prefix): torch.from_numpy(value)
        for key, value in stored.items()
        if key.startswith(prefix)
    }
    channels = stored[f"init_{name}"].shape[1]
    net = UNet(UNetConfig(channels, 2 * channels, 32, channel_mult=(1, 1), attention_downsample=(2,)))
    net.load_state_dict(weights)
    return VPDenoiser(net.requires_grad_(False).eval(), steps=steps)


def compare(path: Path) -> dict[str, float]:
    """Run the compatibility mode on a stored run and compare.

    Parameters
    ----------
    path : Path
        An ``.npz`` file in the format of the reference trajectories.

    Returns
    -------
    dict of str to float
        Largest absolute difference for every stored array of results.

    Raises
    ------
    InputError
        If the file is missing or not in that format.
    """
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            stored = {key: file[key] for key in file.files}
        names = [name for name in ("img", "kernel", "tilt") if f"init_{name}" in stored]
        steps = len(stored["norm"])
        priors = {name: _prior(stored, name, steps) for name in names}
        measurement = torch.from_numpy(stored["measurement"])
        if any(len(stored[f"noise_{name}"]) != steps for name in names):
            raise ValueError("the draws are not one for each norm")
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} is not a stored trajectory that can be compared ({error})") from None

    unknowns = {
        name: Unknown(
            prior,
            stored[f"init_{name}"].shape[1:],
            physical=KernelMap(centred=False) if name == "kernel" else Identity(),
        )
        for name, prior in priors.items()
    }
    trajectory: dict[str, list[np.ndarray]] = {key: [] for key in ("norm", *names)}

    def record(progress: Progress) -> None:
        trajectory["norm"].append(progress.residual_norm.numpy())
        if progress.step % _EVERY == 0:
            for name in names:
                trajectory[name].append(progress.states[name].numpy())

    posterior = sample(
        measurement,
        PublishedTurbulence() if "tilt" in names else PublishedBlur(),
        Gaussian(1.0),
        unknowns,
        sampler=Dps(levels=published_levels(steps), variance="learned", size_invariant=False, bounded=False),
        seeds=[0],
        callback=record,
        noise=_Recorded(stored),
    )
    ours = {"norm": np.concatenate(trajectory["norm"])}
    ours |= {f"traj_{name}": np.stack(trajectory[name]) for name in names}
    ours |= {f"final_{name}": posterior.states[name][0].numpy() for name in names}
    return {
        key: float(np.abs(value.reshape(stored[key].shape) - stored[key]).max())
        for key, value in ours.items()
        if key in stored
    }
