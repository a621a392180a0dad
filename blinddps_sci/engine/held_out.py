"""How well a scene explains frames that it was not restored from: a test that needs no truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from blinddps_sci.engine.burst import draw_chain, frames_of, of_all
from blinddps_sci.engine.burst_scene import BurstScene, chi2_by_tile, operator_of, pose
from blinddps_sci.engine.exposure import relative_exposure
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.registration import displacement, laid_on
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.sampling.posterior import Status

__all__ = ["explain"]


def explain(job: Job, image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Draw the kernels and the tilts of the frames of a job about a scene that is given.

    Parameters
    ----------
    job : Job
        Of frames (F, h, w) as one unit, with the model ``turbulence``.
    image : ndarray, (h + 2 m, w + 2 m), finite
        The scene, on the canvas of the frames: m is the margin of the job.

    Returns
    -------
    ndarray, (F, N)
        Reduced chi-squared of every frame and tile, averaged over the draws; NaN of frames that show nothing.

    Raises
    ------
    ConfigError
        If the job has more than one unit, or another model.
    InputError
        If the image has another shape, no frame shows anything, or the draws are not finite.
    """
    if job.frames is None or job.plan.n_units != 1:
        raise ConfigError("explain takes a burst of one unit; raise the unit, or cut the frames smaller")
    unit = job.plan.unit_at(0)
    if image.shape != unit.canvas.shape:
        raise InputError(f"a scene of shape {image.shape} was given for a canvas of {unit.canvas.shape}")
    scene = pose(job, unit, frames_of(job, unit))
    if scene is None:
        raise InputError("no frame shows anything")
    scene = _about(scene, image.astype(np.float32), job.margin)
    scene, posterior = draw_chain(job, scene)
    if posterior.status is not Status.COMPLETE:
        raise InputError(posterior.status.value)
    samples = {name: draws[:, 0] for name, draws in posterior.samples.items()}
    found = chi2_by_tile(scene, operator_of(job, scene, scene.nodes), samples)
    return of_all(found, scene.used, job.frames)


def _about(scene: BurstScene, image: NDArray[np.float32], margin: int) -> BurstScene:
    """Return the problem with its scene given, and what sets the frames apart from that scene as wholes."""
    inner = image[margin:-margin, margin:-margin]
    registered = scene.registered
    tilt = registered.tilt + displacement(inner, registered.mean)
    ratio, _ = relative_exposure(laid_on(inner, registered.mean), inner)
    known = torch.from_numpy(image).to(scene.data.device)[None, None]
    return replace(
        scene,
        registered=replace(registered, tilt=tilt, exposure=registered.exposure * ratio),
        known={"image": known},
    )
