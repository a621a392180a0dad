"""How an image comes out of the noise: a picture strip and an animation of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from imageio.v3 import imwrite
from numpy.typing import NDArray

from blinddps_sci.bench.tasks_methods import Callback, Classical, Method
from blinddps_sci.bench.tasks_problems import Problem
from blinddps_sci.errors import OutputError
from blinddps_sci.sampling.posterior import Progress

__all__ = ["Evolution"]

_SHOWN = 7
"""Steps in the strip."""

_FRAMES = 40
"""Steps in the animation."""

_FRAME, _LAST = 80, 2000
"""Milliseconds of a step of the animation, and of the last one."""

_GAP = 4
_ENLARGED = 2

Picture = NDArray[np.uint8]


@dataclass(eq=False)
class Evolution:
    """What the first draw looked like, step by step.

    Parameters
    ----------
    folder : Path, optional
        Where pictures go; without one nothing is kept.
    problem : Problem
        Whose data begin the strip and whose truth ends it.
    """

    folder: Path | None
    problem: Problem
    images: list[NDArray[np.float32]] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path | None, problem: Problem, method: Method) -> Evolution:
        """Return the record of a run, which a classical method has none of."""
        return cls(None if isinstance(method, Classical) else folder, problem)

    @property
    def callback(self) -> Callback | None:
        """What is called after every step, if pictures are asked for."""
        return None if self.folder is None else self._record

    def _record(self, progress: Progress) -> None:
        if progress.first == 0:
            self.images.append(progress.estimates["image"][0, 0].cpu().numpy())

    def write(self, name: str) -> None:
        """Write ``name.png`` and ``name.gif``.

        Raises
        ------
        OutputError
            If they cannot be written.
        """
        if self.folder is None or not self.images:
            return
        size = len(self.problem.truth)
        frames = [_picture(_middle(image, size)) for image in self.images]
        strip = [_picture(_data(self.problem)), *_spread(frames, _SHOWN), _picture(self.problem.truth)]
        moving = _spread(frames, _FRAMES)
        stem = name.replace(", ", "-").replace(" ", "-")
        durations = [_FRAME] * (len(moving) - 1) + [_LAST]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            imwrite(self.folder / f"{stem}.png", _side_by_side(strip))
            imwrite(self.folder / f"{stem}.gif", np.stack(moving), duration=durations, loop=0)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be written: {error.strerror}") from None


def _spread(frames: list[Picture], count: int) -> list[Picture]:
    """Return at most so many of the frames, the first and the last among them."""
    return [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))]


def _data(problem: Problem) -> NDArray[np.float32]:
    """Return the data (N, N) as they can be shown: enlarged, white where nothing was measured."""
    data = problem.data[0, 0].numpy()
    size = len(problem.truth)
    if len(data) > size:  # Fourier magnitudes, zero first: the brightest frequency is not all there is
        logarithm = np.log(np.fft.fftshift(np.clip(data, 1e-3, None)))
        data = (logarithm - logarithm.min()) / np.ptp(logarithm)
        step = len(data) // size
        return np.asarray(data[::step, ::step])
    factor = size // len(data)
    return np.asarray(np.kron(np.nan_to_num(data, nan=1.0), np.ones((factor, factor), dtype=np.float32)))


def _middle(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    top, left = ((side - size) // 2 for side in image.shape)
    return image[top : top + size, left : left + size]


def _picture(image: NDArray[np.float32]) -> Picture:
    grey = np.asarray(np.clip(image, 0, 1) * 255, dtype=np.uint8)
    return np.kron(grey, np.ones((_ENLARGED, _ENLARGED), dtype=np.uint8))


def _side_by_side(pictures: list[Picture]) -> Picture:
    gap = np.full((len(pictures[0]), _GAP), 255, dtype=np.uint8)
    row = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(row[:-1], axis=1)
