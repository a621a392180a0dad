"""A burst: one scene, seen through another warp and another blur in every frame.

Turbulence displaces the light of each part of the scene, slowly over the field, and blurs it by a
kernel that changes over the field: warp first, then blur, then the detector, whose exposure may change.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators.blur import FieldBlur, NodeWindow
from blinddps_sci.operators.linear import Linear
from blinddps_sci.operators.warp import TiltGrid, Warp

__all__ = ["Burst"]

_AT_ONCE = 16
"""Frames that are worked on together: each takes memory while it is."""


@dataclass(frozen=True, eq=False)
class Burst:
    """F frames of one scene: a warp on a grid of nodes, then kernels that vary over the field.

    Parameters
    ----------
    windows : sequence of NodeWindow, length N
        One per kernel, the same in all frames; see `FieldBlur`.
    margin : int
        Pixels by which the warped images exceed the data on each side; at least K // 2.
    grid : TiltGrid
        From the nodes of the tilts to the pixels of the warped images.
    reach : int
        Pixels by which the scene's canvas exceeds the warped images on each side.
    exposure : sequence of float, length F
        Brightness of each frame.

    Notes
    -----
    ``y_f(p) = g_f sum_n w_n(p) (k_fn * x_f)(p)`` with the exposure ``g_f`` and ``x_f(p) = x(p + t_f(p))``.

    References
    ----------
    S. H. Chan, "Tilt-then-blur or blur-then-tilt? Clarifying the atmospheric turbulence model", IEEE
    Signal Process. Lett. 29, 1833 (2022), doi:10.1109/LSP.2022.3200551: this order is the right one.
    """

    windows: Sequence[NodeWindow]
    margin: int
    grid: TiltGrid
    reach: int
    exposure: Sequence[float]

    def __post_init__(self) -> None:
        if self.frames < 1 or self.reach < 2 or not all(0 < g < math.inf for g in self.exposure):
            raise ConfigError(
                f"exposures {list(self.exposure)} and reach {self.reach}: "
                "give at least one exposure, all greater than zero, and a reach of at least 2"
            )
        object.__setattr__(self, "_blur", FieldBlur(self.windows, self.margin))

    @property
    def frames(self) -> int:
        """F."""
        return len(self.exposure)

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("image", "kernel", "tilt")``."""
        return ("image", "kernel", "tilt")

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the frames.

        Parameters
        ----------
        unknowns : mapping
            ``image`` (B, 1, H, W) in the data's unit, ``kernel`` (B, F * N, K, K), frame by frame, and
            ``tilt`` (B, F * 2, n_y, n_x), the dy and dx of each frame at the nodes, in pixels.

        Returns
        -------
        Tensor, (B, F, H - 2 * (reach + margin), W - 2 * (reach + margin))

        Raises
        ------
        ConfigError, InputError
            As `FieldBlur.forward`, or if shapes do not go together.
        """
        if self.frames > _AT_ONCE:
            each = zip(self._parts(), self._split(unknowns), strict=True)
            return torch.cat([part.forward(own) for part, own in each], dim=1)
        warped = Warp(self.displacement(unknowns["tilt"]), self.reach).apply(unknowns["image"])
        parts = {"image": warped.flatten(0, 1)[:, None], "kernel": self._by_frame(unknowns["kernel"])}
        blurred = self._blurs.forward(parts)
        return self._exposed(blurred.reshape(len(warped), self.frames, *blurred.shape[-2:]))

    def linearise(self, values: Mapping[str, Tensor]) -> Linear:
        """Return the linearisation about ``values``.

        ``dx_f(p) = dx(p + t_f) + grad x(p + t_f) . dt_f``, then as `FieldBlur.linearise`.
        """
        if self.frames > _AT_ONCE:
            return self._in_minibatches(values)
        image, tilt = values["image"], values["tilt"]
        warp = Warp(self.displacement(tilt), self.reach)
        warped = warp.apply(image)
        slopes = warp.gradient(image)
        blur = self._blurs.linearise(
            {"image": warped.flatten(0, 1)[:, None], "kernel": self._by_frame(values["kernel"])}
        )
        shape = (len(image), self.frames, *blur.value.shape[-2:])

        def apply(changes: Mapping[str, Tensor]) -> Tensor:
            parts: dict[str, Tensor] = {}
            moved = []
            if "image" in changes:
                moved.append(warp.apply(changes["image"]))
            if "tilt" in changes:
                change = self.displacement(changes["tilt"])
                moved.append(slopes[0] * change[:, :, 0] + slopes[1] * change[:, :, 1])
            if moved:
                parts["image"] = sum(moved[1:], moved[0]).flatten(0, 1)[:, None]
            if "kernel" in changes:
                parts["kernel"] = self._by_frame(changes["kernel"])
            return self._exposed(blur.apply(parts).reshape(shape))

        def adjoint(residual: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
            through = [name for name in ("image", "kernel") if name in wanted]
            if "tilt" in wanted and "image" not in wanted:
                through.append("image")
            found = blur.adjoint(self._exposed(residual).flatten(0, 1)[:, None], through)
            answer: dict[str, Tensor] = {}
            if "image" in found:
                back = found["image"].reshape(warped.shape)
            if "image" in wanted:
                answer["image"] = warp.adjoint(back)
            if "tilt" in wanted:
                fields = torch.stack([slopes[0] * back, slopes[1] * back], dim=2)
                answer["tilt"] = self.grid.adjoint(fields).flatten(1, 2)
            if "kernel" in wanted:
                answer["kernel"] = found["kernel"].reshape(values["kernel"].shape)
            return answer

        return Linear(self._exposed(blur.value.reshape(shape)), apply, adjoint)

    def _in_minibatches(self, values: Mapping[str, Tensor]) -> Linear:
        """Return the linearisation of so many frames that they take turns."""
        linears = [part.linearise(own) for part, own in zip(self._parts(), self._split(values), strict=True)]

        def apply(changes: Mapping[str, Tensor]) -> Tensor:
            each = zip(linears, self._split(changes), strict=True)
            return torch.cat([linear.apply(own) for linear, own in each], dim=1)

        def adjoint(residual: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
            each = zip(linears, torch.split(residual, _AT_ONCE, dim=1), strict=True)
            found = [linear.adjoint(own, wanted) for linear, own in each]
            answer = {name: torch.cat([back[name] for back in found], dim=1) for name in wanted}
            if "image" in wanted:  # one for all frames
                answer["image"] = answer["image"].sum(dim=1, keepdim=True)
            return answer

        return Linear(torch.cat([linear.value for linear in linears], dim=1), apply, adjoint)

    def _parts(self) -> list[Burst]:
        """Return bursts of `_AT_ONCE` frames and less, in order."""
        firsts = range(0, self.frames, _AT_ONCE)
        return [replace(self, exposure=self.exposure[first : first + _AT_ONCE]) for first in firsts]

    def _split(self, values: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Yield what each of `_parts` takes of ``values``: all see the image."""
        planes = {"kernel": len(self.windows), "tilt": 2}
        for first in range(0, self.frames, _AT_ONCE):
            last = min(first + _AT_ONCE, self.frames)
            yield {
                name: value[:, first * planes[name] : last * planes[name]] if name in planes else value
                for name, value in values.items()
            }

    def displacement(self, tilt: Tensor) -> Tensor:
        """Return the displacement (B, F, 2, h, w) at every pixel of tilts (B, F * 2, n_y, n_x)."""
        return self.grid.apply(tilt.reshape(len(tilt), self.frames, 2, *tilt.shape[-2:]))

    def _exposed(self, frames: Tensor) -> Tensor:
        """Return frames (B, F, h, w) of equal exposure as they are exposed."""
        return frames * frames.new_tensor(self.exposure)[:, None, None]

    def _by_frame(self, kernels: Tensor) -> Tensor:
        """Return kernels (B * F, N, K, K)."""
        return kernels.reshape(len(kernels) * self.frames, len(self.windows), *kernels.shape[-2:])

    @property
    def _blurs(self) -> FieldBlur:
        blur: FieldBlur = self._blur  # type: ignore[attr-defined]
        return blur
