"""Real bursts, of which nobody knows the truth: half of the frames are restored, the others judge.

The scene has to explain frames that it was not made from, with kernels and tilts of their own; and what it
shows has to agree, ring by ring of frequency, with the registered mean of these frames. That mean is linear:
two restorations would share a prior, and agree in what it has made up.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.held_out import explain
from blinddps_sci.engine.job import Job, prepare
from blinddps_sci.engine.registration import laid_on, register
from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack
from blinddps_sci.metrics import resolution, ring_correlation

__all__ = ["COLUMNS", "judge"]

Image = NDArray[np.floating[Any]]
Row = dict[str, Any]

COLUMNS = {
    "case": "burst",
    "method": "scene",
    "held_out": "chi2 of the other frames",
    "frc": "mean ring correlation",
    "resolution": "resolution, px",
    "seconds": "seconds",
}


def judge(path: Path, size: int, frames: int, **options: Any) -> tuple[list[Row], dict[str, Image]]:
    """Restore every other frame of a burst, and judge the scene by the frames between them.

    Parameters
    ----------
    path : Path
        The burst, anything that `open_stack` opens.
    size : int
        Side of the part that is taken from the middle of the frames, pixels.
    frames : int
        Frames of each half, at most.
    **options
        Of `blinddps_sci.restore`.

    Returns
    -------
    rows : list of dict
        For the registered mean of the first half, its sharpest frame and its restoration:
        ``held_out``, reduced chi-squared of the second half; ``frc``, the mean correlation over all
        rings with the registered mean of the second half, and ``resolution``, where it falls to 1/7.
    pictures : dict of str to ndarray, (size, size)
        The three scenes and ``other``, the registered mean of the second half.

    Raises
    ------
    InputError
        If there are fewer than four frames, or they are too small.
    """
    burst = _middle(path, size)[: 2 * frames]
    if len(burst) < 4:
        raise InputError(f"{path}: a burst of {len(burst)} frames cannot be divided; give at least 4")
    half, others = burst[::2], burst[1::2]
    job = _inner_job(others, **options)
    registered = register(half.astype(np.float32))
    begin = time.perf_counter()
    restored = restore(half, model="turbulence", **options)["image"].values
    seconds = {"blinddps": time.perf_counter() - begin}
    scenes: dict[str, Image] = {
        "registered mean": registered.mean,
        "sharpest frame": registered.moved[int(np.argmax(registered.sharpness))],
        "blinddps": restored,
    }
    linear = register(others.astype(np.float32)).mean
    rows = []
    for name, scene in tqdm(scenes.items(), desc=path.name, unit="scene", file=sys.stderr):
        curve = ring_correlation(laid_on(linear, scene), linear)
        rows.append(
            {
                "case": path.name,
                "method": name,
                "held_out": float(np.nanmean(explain(job, scene))),
                "frc": float(curve.correlation.mean()),
                "resolution": resolution(curve),
                "seconds": seconds.get(name),
            }
        )
    return rows, {**scenes, "other": linear}


def _middle(path: Path, size: int) -> NDArray[Any]:
    """Return the middle (F, size, size) of the frames of a burst, in the file's numbers."""
    stack = open_stack(path)
    data = stack["data"].squeeze(drop=True)
    if data.ndim != 3 or min(data.sizes["y"], data.sizes["x"]) < size:
        raise InputError(
            f"{path} has axes {dict(data.sizes)}; give frames of at least {size} x {size} pixels"
        )
    y, x = ((data.sizes[axis] - size) // 2 for axis in ("y", "x"))
    frames = np.asarray(data[:, y : y + size, x : x + size].values)
    # What the numbers are tells of the noise.
    stored = frames.astype(np.dtype(stack.attrs["dtype_on_disk"]).newbyteorder("="))
    return stored if np.array_equal(stored, frames) else frames


def _inner_job(frames: NDArray[Any], **options: Any) -> Job:
    """Return the problem of that part of frames (F, h, w) around which their scene is known."""
    config = make_config({**options, "model": "turbulence", "samples": 1})
    margin = prepare(open_stack(frames), config).margin
    inner = np.ascontiguousarray(frames[:, margin:-margin, margin:-margin])
    if not inner.size:
        raise InputError(f"frames of {frames.shape[1:]} pixels lie within the margin of {margin}; take more")
    return prepare(open_stack(inner), config)
