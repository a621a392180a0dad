"""The evolution of the sampling, kept on request: snapshots and a picture strip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.image
import numpy as np

from blinddps_sci.io.result import ResultStore
from blinddps_sci.sampling.posterior import Progress

__all__ = ["Trajectory"]


@dataclass
class Trajectory:
    """Snapshots of the clean estimates of one draw, equally spaced over the steps.

    Parameters
    ----------
    count : int
        How many to keep; with 0 nothing is recorded or written.
    margin : int
        Pixels by which the estimates exceed the data.
    """

    count: int
    margin: int
    snapshots: list[dict[str, np.ndarray]] = field(default_factory=list)
    sigmas: list[float] = field(default_factory=list)

    def record(self, progress: Progress) -> None:
        """Keep the estimates of the first draw if this step is one of the wanted."""
        gaps = max(self.count - 1, 1)
        wanted = {1 + round(i * (progress.steps - 1) / gaps) for i in range(self.count)}
        if progress.first == 0 and progress.step in wanted:
            self.snapshots.append(
                {name: value[0].cpu().numpy() for name, value in progress.estimates.items()}
            )
            self.sigmas.append(progress.sigma)

    def images(self) -> np.ndarray:
        """Return the snapshots of the image over the data, (n, h, w), in data units."""
        m = self.margin
        return np.stack([snapshot["image"][0, m:-m, m:-m] for snapshot in self.snapshots])

    def kernels(self) -> list[np.ndarray]:
        """Return the snapshots of the kernels, (N, K, K) each; none of a known PSF."""
        return [snapshot["kernel"] for snapshot in self.snapshots if "kernel" in snapshot]

    def write(self, store: ResultStore) -> None:
        """Write the group ``trajectory`` of a store."""
        if self.snapshots:
            store.write_trajectory(self.images(), self.kernels(), self.sigmas)

    def draw(self, path: Path) -> None:
        """Write the snapshots as a PNG: images in a row, the first node's kernels below them."""
        if not self.snapshots:
            return
        images, kernels = self.images(), self.kernels()
        strips = [_strip(images)]
        if kernels:
            strips.append(_strip(np.stack([_fitted(kernel[0], images.shape[1:]) for kernel in kernels])))
        matplotlib.image.imsave(path, np.concatenate(strips), cmap="gray")


def _strip(frames: np.ndarray) -> np.ndarray:
    """Return frames (n, h, w) side by side, each stretched to [0, 1] by the last one's range."""
    low, high = np.percentile(frames[-1], [0.1, 99.9])
    return np.concatenate(list(np.clip((frames - low) / max(high - low, 1e-30), 0, 1)), axis=1)


def _fitted(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a kernel enlarged by a whole factor and padded, or cropped, to a frame's shape."""
    factor = max(1, min(shape) // max(kernel.shape))
    large = np.kron(kernel, np.ones((factor, factor)))[: shape[0], : shape[1]]
    return np.pad(large, [(0, side - length) for side, length in zip(shape, large.shape, strict=True)])
