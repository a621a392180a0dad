"""What a person reads about a job, a result and a prior, as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from blinddps_sci.engine.channels import Channel
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.photometry import NoiseModel
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.standing import describe_standing, standing_of
from blinddps_sci.errors import InputError, PriorError
from blinddps_sci.io import open_stack
from blinddps_sci.io.result import ResultStore, open_result
from blinddps_sci.priors.card_text import describe_card
from blinddps_sci.priors.registry import shipped
from blinddps_sci.priors.store import read_card

__all__ = ["describe_job", "describe_path", "describe_priors", "describe_result", "describe_shard"]


def describe_job(job: Job) -> str:
    """Return what a job will do, a few lines."""
    sizes = " x ".join(f"{dim}={size}" for dim, size in job.dataset["data"].sizes.items())
    rows, columns = job.plan.node_grid
    psf = "known" if job.known_psf is not None else f"unknown, {job.config.psf}"
    return "\n".join(
        [
            f"input: {sizes}",
            f"plan: {job.plan.n_units} units, {job.plan.n_tiles} tiles, "
            f"{rows} x {columns} PSF nodes of {job.plan.kernel_size} px ({psf})",
            *_channels(job.channels),
            f"sampler: {job.config.sampler}, {job.config.steps} steps, {job.draws} draws, "
            f"seed {job.config.seed}, on {job.device}",
        ]
    )


def _channels(channels: Sequence[Channel]) -> Iterator[str]:
    """Yield range and noise of all channels or, if they differ, of each from which on they are others."""
    first = 0
    for channel, same in groupby(channels):
        count = len(list(same))
        of = "" if count == len(channels) else f" of channel {first}"
        first += count
        yield f"stretch{of}: {channel.stretch}"
        yield f"noise{of}: {_noise(channel.noise)}"


def _noise(noise: NoiseModel) -> str:
    numbers = {"gain": noise.gain, "read noise": noise.read_noise, "background": noise.background}
    if noise.kind == "gaussian":
        numbers = {"sigma": noise.sigma}
    elif noise.kind == "variance":
        return noise.kind
    elif not noise.background:
        del numbers["background"]
    return f"{noise.kind} with " + ", ".join(f"{name} {value:.6g}" for name, value in numbers.items())


def describe_result(path: Path, result: Any) -> str:
    """Return where a result is and how well it explains the data."""
    lines = [f"written: {path}"]
    chi2 = chi2_of(path)
    if chi2 is not None:
        lines.append(f"reduced chi-squared of the draws: {chi2:.3f} (expected 1)")
    return "\n".join(lines)


def describe_shard(job: Job, folder: RunFolder) -> str:
    """Return how far the shard of a run is, and how the run comes to its end."""
    mine = set(job.units)
    lost = len(mine & folder.quarantine.keys())
    blended = len(mine.intersection(folder.marked("blend")))
    given_up = f", {lost} are quarantined" if lost else ""
    return (
        f"shard {job.config.shard}: {blended} of its {len(mine)} units are blended{given_up}, "
        f"{len(mine) - blended - lost} wait for other shards\n"
        f"once all shards have ended, `blinddps resume {folder.store}` finishes the run"
    )


def chi2_of(path: Path) -> float | None:
    """Return the mean reduced chi-squared of a result (store or FITS), or None if it has none."""
    if path.suffix == ".zarr":
        values = open_result(path).quality()["chi2"].values
    elif path.suffix.lower() in (".fits", ".fit"):
        from astropy.io import fits

        values = np.asarray(fits.getdata(path, "CHI2"))
    else:
        return None
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def describe_path(path: Path) -> str:
    """Describe whatever lies at a path: a result store, weights or an image.

    Raises
    ------
    InputError
        If it is none of them.
    """
    store = _store_beside(path)
    if store is not None:
        return _store(store)
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.suffix == ".safetensors":
        return describe_card(path.stem, read_card(path))
    dataset = open_stack(path)
    shown = {key: value for key, value in dataset.attrs.items() if key not in ("header", "wcs_header")}
    sizes = " x ".join(f"{dim}={size}" for dim, size in dataset["data"].sizes.items())
    return "\n".join([f"image: {sizes}", *(f"{key}: {value}" for key, value in shown.items())])


def _store_beside(path: Path) -> ResultStore | None:
    """Return the store at a path or beside the file of that name; None if there is none of ours."""
    try:
        return open_result(path)
    except InputError:
        return None


def _store(store: ResultStore) -> str:
    details = store.attrs
    image = store.dataset()["image"]
    chi2 = store.quality()["chi2"].values
    lines = [
        f"result store: {' x '.join(f'{dim}={size}' for dim, size in image.sizes.items())}",
        f"status: {store.status}: {store.sentence}",
        f"fingerprint: {details.get('fingerprint')}",
    ]
    standing = standing_of(store)
    if standing is not None:
        lines += describe_standing(standing)
    if np.isfinite(chi2).any():
        lines.append(f"reduced chi-squared of the draws: {float(np.nanmean(chi2)):.3f}")
    if details.get("novelty"):
        lines.append(f"the prior: {details['novelty']['sentence']}")
    facts = ("config", "channels", "noise", "stretch", "uncertainty", "weights", "versions", "device")
    lines += [f"{key}: {json.dumps(details[key])}" for key in facts if key in details]
    return "\n".join(lines)


def describe_priors(name: str | None = None) -> str:
    """List the shipped priors, or describe the one of that name.

    Raises
    ------
    PriorError
        If there is none of that name.
    """
    cards = shipped()
    if name is None:
        rows = [
            f"{key:16s} {card.role:7s} {card.size:4d} px  labels: {', '.join(card.labels) or '-':38s} "
            f"{card.licence:14s} sha256 {card.sha256[:12]}"
            for key, card in cards.items()
        ]
        return "\n".join(rows) or "no priors are shipped"
    if name not in cards:
        raise PriorError(f"unknown prior {name!r}; shipped are {', '.join(cards) or 'none'}")
    return describe_card(name, cards[name])
