"""The picture of one point-spread function: kernel, its uncertainty, its profile and its neighbours. No Qt.

`read_node` reads what there is to see, `describe` puts it into words, and `draw` into a matplotlib figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_plugin.psf_figures import encircled_energy, profile, shape_of
from napari_plugin.result_space import ResultSpace

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["STRETCHES", "NodePsf", "describe", "draw", "read_node"]

STRETCHES = ("root", "logarithm", "linear")
"""How kernels may be shown: the first two so that wings are seen."""

_SYMBOLS = {"micrometer": "µm", "arcsecond": "arcsec", "pixel": "px"}
_FAINTEST = 1e-4


@dataclass(frozen=True, eq=False)
class NodePsf:
    """One PSF of a result.

    Attributes
    ----------
    node : (int, int)
        Its row and column in the grid of nodes.
    plane : tuple of int
        Where on the result's `plane_dims`.
    kernel, std : ndarray, float32, (K, K)
        Mean and standard deviation of its posterior; NaN if there is none.
    chi2 : float
        Reduced chi-squared of the tile.
    around : ndarray, float32, (3, 3, K, K)
        Kernels of the nodes next to it, itself in the middle; NaN beyond the grid.
    pixel : (float, float)
        Height and width of a pixel.
    unit : str
        Of these, as a symbol.
    """

    node: tuple[int, int]
    plane: tuple[int, ...]
    kernel: NDArray[Any]
    std: NDArray[Any]
    chi2: float
    around: NDArray[Any]
    pixel: tuple[float, float]
    unit: str

    @property
    def there(self) -> bool:
        """Whether the tile has been restored."""
        import numpy as np

        return bool(np.isfinite(self.kernel).all() and self.kernel.max() > 0)

    @property
    def size(self) -> float:
        """Side of a square of the area of a pixel, in the unit."""
        return float((self.pixel[0] * self.pixel[1]) ** 0.5)


def read_node(store: Any, space: ResultSpace, node: tuple[int, int], plane: Sequence[int]) -> NodePsf:
    """Read one PSF and those around it.

    Parameters
    ----------
    store : ResultStore
        From `blinddps_sci.open_result`.
    space : ResultSpace
        Of the store.
    node : (int, int)
        Row and column in the grid of nodes.
    plane : sequence of int
        Position on `space.plane_dims`.

    Returns
    -------
    NodePsf
        In memory.
    """
    import numpy as np

    key, (iy, ix) = space.keys(plane), node
    kernels = store.array("psf/kernel")
    rows, columns = (
        range(max(at - 1, 0), min(at + 2, count)) for at, count in zip(node, space.grid, strict=True)
    )
    around = np.full((3, 3, *kernels.shape[-2:]), np.nan, np.float32)
    inside = tuple(slice(part[0] - at + 1, part[-1] - at + 2) for part, at in ((rows, iy), (columns, ix)))
    around[inside] = kernels[(*key, slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))]
    return NodePsf(
        node=(iy, ix),
        plane=tuple(plane),
        kernel=around[1, 1],
        std=store.array("psf/std")[(*key, iy, ix)],
        chi2=float(store.array("quality/chi2")[(*key, iy, ix)]),
        around=around,
        pixel=(space.scale["y"], space.scale["x"]),
        unit=_SYMBOLS.get(space.unit, space.unit),
    )


def describe(psf: NodePsf, plane_dims: Sequence[str]) -> list[tuple[str, str]]:
    """Put the figures of a PSF into words.

    Parameters
    ----------
    psf : NodePsf
        From `read_node`.
    plane_dims : sequence of str
        Names of the axes of `psf.plane`.

    Returns
    -------
    list of (str, str)
        What, and how much, lengths in pixels and in the unit.
    """
    import numpy as np

    where = "".join(f", {dim} {index}" for dim, index in zip(plane_dims, psf.plane, strict=True))
    lines = [("tile", f"row {psf.node[0]}, column {psf.node[1]}{where}")]
    if not psf.there:
        return [*lines, ("PSF", "none: the tile has not been restored")]

    def length(pixels: float) -> str:
        return f"{pixels:.2f} px" + ("" if psf.unit == "px" else f" = {pixels * psf.size:.3g} {psf.unit}")

    shape = shape_of(psf.kernel)
    radius, energy = encircled_energy(psf.kernel)
    half, most = (float(np.interp(share, energy, radius)) for share in (0.5, 0.8))
    peak = np.unravel_index(int(psf.kernel.argmax()), psf.kernel.shape)
    error = float(psf.std[peak])
    return [
        *lines,
        ("FWHM", length(shape.fwhm)),
        ("ellipticity", f"{shape.ellipticity:.2f} at {shape.angle:.0f}°"),
        ("half of the light", f"within {length(half)}"),
        ("80 % of it", f"within {length(most)}"),
        ("peak", f"{psf.kernel[peak]:.4f}" + (f" ± {error:.4f}" if np.isfinite(error) else "")),
        ("chi-squared", f"{psf.chi2:.2f}"),
    ]


def draw(figure: Figure, psf: NodePsf, stretch: str, colours: Mapping[str, str]) -> None:
    """Draw a PSF.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Cleared first.
    psf : NodePsf
        From `read_node`.
    stretch : str
        One of `STRETCHES`.
    colours : mapping
        ``background``, ``text`` and ``mark``.
    """
    import matplotlib as mpl

    style: Any = {
        **dict.fromkeys(("text.color", "xtick.color", "ytick.color"), colours["text"]),
        **dict.fromkeys(("axes.edgecolor", "axes.labelcolor"), colours["text"]),
        **dict.fromkeys(("axes.facecolor", "figure.facecolor"), colours["background"]),
        "axes.linewidth": 0.6,
        "axes.titlesize": 8,
        "font.size": 8,
        "legend.fontsize": 7,
    }
    with mpl.rc_context(style):
        figure.clear()
        figure.set_facecolor(colours["background"])
        if not psf.there:
            figure.text(0.5, 0.5, "this tile has not been restored", ha="center", color=colours["text"])
            return
        # Margins that are given are drawn in half the time of those that matplotlib finds.
        edges = {"left": 0.13, "right": 0.9, "top": 0.96, "bottom": 0.07, "hspace": 0.42, "wspace": 0.5}
        grid = figure.add_gridspec(3, 2, height_ratios=(1.0, 0.85, 1.0), **edges)
        _draw_kernel(figure, grid[0, 0], psf, stretch)
        _draw_std(figure, grid[0, 1], psf)
        _draw_profile(figure.add_subplot(grid[1, :]), psf, colours["mark"])
        _draw_around(figure.add_subplot(grid[2, 0]), psf, stretch, colours["mark"])
        _draw_energy(figure.add_subplot(grid[2, 1]), psf, colours["mark"])


def _norm(stretch: str, peak: float) -> Any:
    from matplotlib.colors import LogNorm, Normalize, PowerNorm

    if stretch == "root":
        return PowerNorm(0.5, 0.0, peak)
    return LogNorm(_FAINTEST * peak, peak, clip=True) if stretch == "logarithm" else Normalize(0.0, peak)


def _extent(psf: NodePsf) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a kernel, its centre at zero, in the unit."""
    (height, width), (dy, dx) = psf.kernel.shape, psf.pixel
    left, top = (-width // 2 - 0.5 + width % 2) * dx, (-height // 2 - 0.5 + height % 2) * dy
    return left, left + width * dx, top + height * dy, top


def _draw_kernel(figure: Figure, place: Any, psf: NodePsf, stretch: str) -> None:
    import numpy as np

    axes = figure.add_subplot(place)
    shown = np.clip(psf.kernel, 0, None)
    image = axes.imshow(
        shown, cmap="magma", norm=_norm(stretch, float(psf.kernel.max())), extent=_extent(psf)
    )
    axes.set_title(f"PSF, mean ({psf.unit})")
    _bar(figure, image, axes)


def _draw_std(figure: Figure, place: Any, psf: NodePsf) -> None:
    axes = figure.add_subplot(place)
    image = axes.imshow(psf.std, cmap="viridis", vmin=0.0, extent=_extent(psf))
    axes.set_title("standard deviation")
    _bar(figure, image, axes)
    axes.tick_params(labelleft=False)  # as in the picture beside it


def _bar(figure: Any, image: Any, axes: Any) -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.ax.tick_params(labelsize=6, length=2)
    bar.outline.set_linewidth(0.4)
    axes.tick_params(labelsize=7, length=2)


def _draw_profile(axes: Any, psf: NodePsf, colour: str) -> None:
    import numpy as np

    found = profile(psf.kernel, psf.std)
    peak = float(psf.kernel.max())
    radius, floor = found.radius * psf.size, max(float(found.mean.min()) / 3.0, _FAINTEST * peak)
    low, high = np.clip(found.mean - found.spread, floor, None), found.mean + found.spread
    axes.fill_between(radius, low, high, color=colour, alpha=0.18, lw=0, label="spread in the ring")
    if found.std is not None:
        low, high = np.clip(found.mean - found.std, floor, None), found.mean + found.std
        axes.fill_between(radius, low, high, color=colour, alpha=0.4, lw=0, label="standard deviation")
    axes.plot(radius, np.clip(found.mean, floor, None), color=colour, lw=1.2)
    half = shape_of(psf.kernel).fwhm / 2.0 * psf.size
    axes.axvline(half, color=colour, lw=0.7, ls="--", label="half of the FWHM")
    axes.set(yscale="log", ylim=(floor, 2.0 * peak), xlim=(0, max(radius[-1], half)))
    axes.minorticks_off()
    axes.set_xlabel(f"radius ({psf.unit})", labelpad=1)
    axes.set_title("radial profile")
    axes.tick_params(labelsize=7, length=2)
    axes.legend(frameon=False, loc="upper right", handlelength=1.5)


def _draw_energy(axes: Any, psf: NodePsf, colour: str) -> None:
    radius, energy = encircled_energy(psf.kernel)
    axes.plot(radius * psf.size, 100.0 * energy, color=colour, lw=1.2)
    for share in (50, 80):
        axes.axhline(share, color=colour, lw=0.5, ls=":")
    axes.set(xlim=(0, radius[-1] * psf.size / 2**0.5), ylim=(0, 102))
    axes.set_xlabel(f"radius ({psf.unit})", labelpad=1)
    axes.set_title("light within, %")
    axes.tick_params(labelsize=7, length=2)


def _draw_around(axes: Any, psf: NodePsf, stretch: str, colour: str) -> None:
    """Draw the kernels of the nodes around on the scale of the middle one."""
    import numpy as np
    from matplotlib.patches import Rectangle

    side = psf.kernel.shape[0] + 2
    padded = np.pad(psf.around, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    mosaic = padded.transpose(0, 2, 1, 3).reshape(3 * side, -1)
    axes.imshow(np.clip(mosaic, 0, None), cmap="magma", norm=_norm(stretch, float(psf.kernel.max())))
    axes.add_patch(
        Rectangle((side - 0.5, side - 0.5), side - 1, side - 1, fill=False, edgecolor=colour, lw=1)
    )
    axes.set_title("tiles around")
    axes.set_axis_off()
