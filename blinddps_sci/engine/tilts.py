"""The tilts of a unit: on which nodes they are drawn, and what is known of them beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.operators.warp import TiltGrid
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.tilt import PUBLISHED_RANGE, TiltField
from blinddps_sci.priors.uninformative import UniformPrior

__all__ = ["TiltModel"]

_MULTIPLE = 8
"""Nodes along each axis of a network of tilts pixel by pixel: as its levels need."""


@dataclass(frozen=True)
class TiltModel:
    """A prior of the tilts of one frame.

    Parameters
    ----------
    prior : Prior, optional
        Of tilts (B, 2, n_y, n_x); by default the Gaussian field that the physics gives for the displacements
        that registration has found.
    dense : bool
        Whether there is a node at every pixel, as the published problem has it; else at the kernels' nodes.
    reach : float, optional
        Pixels that are 1 on the prior's domain; by default twice the deviation that registration has found.
    """

    prior: Prior | None = None
    dense: bool = False
    reach: float | None = None

    @classmethod
    def uniform(cls, reach: float, dense: bool) -> TiltModel:
        """Return the model of tilts of which nothing is known but how large they may be, pixels."""
        return cls(UniformPrior(), dense, reach)

    @classmethod
    def network(cls, prior: Prior, relative: bool) -> TiltModel:
        """Return the model of a network: of relative tilts at nodes, or of pixels at every pixel."""
        return cls(prior) if relative else cls(prior, dense=True, reach=PUBLISHED_RANGE)

    def grid(self, nodes: TiltGrid) -> TiltGrid:
        """Return the nodes of the tilts, given those of the kernels."""
        if not self.dense:
            return nodes
        rows, columns = (np.arange(math.ceil(n / _MULTIPLE) * _MULTIPLE, dtype=float) for n in nodes.shape)
        return TiltGrid(rows.tolist(), columns.tolist(), nodes.shape)

    def unit(self, field: TiltField) -> float:
        """Return the pixels of 1 on the prior's domain."""
        if self.prior is None:
            return 1.0
        return 2 * math.sqrt(field.variance) if self.reach is None else self.reach

    def on(self, grid: TiltGrid, field: TiltField, device: torch.device) -> Prior:
        """Return the prior of tilts (B, 2, n_y, n_x) on a grid, in its unit."""
        return field.prior(grid.node_y, grid.node_x, device) if self.prior is None else self.prior

    def at(self, nodes: TiltGrid, tilts: Tensor) -> Tensor:
        """Return tilts (..., n_y, n_x) at the kernels' nodes."""
        if not self.dense:
            return tilts
        own = (np.clip(np.round(axis), 0, None).astype(int) for axis in (nodes.node_y, nodes.node_x))
        rows, columns = (torch.from_numpy(places) for places in own)
        return tilts[..., rows[:, None], columns]
