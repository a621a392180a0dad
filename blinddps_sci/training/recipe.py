"""Recipes: everything that decides what a training run makes, as data.

A recipe is a name in `RECIPES` or a TOML file with the same fields.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.pilot import PilotConfig
from blinddps_sci.priors.unet import UNetConfig
from blinddps_sci.training.denoising import Denoising
from blinddps_sci.training.pilots import Piloting

__all__ = ["RECIPES", "Recipe", "load_recipe"]


@dataclass(frozen=True)
class Recipe:
    """One training recipe.

    Parameters
    ----------
    net : UNetConfig or PilotConfig
        The network.
    size : int
        Side of the training patches or kernels, pixels; of a pilot that of the blurred patches.
    batch : int
        Items per step.
    large : float
        Share of the steps of an image network that see a quarter of the items at twice the side.
    learning_rate : float
        Peak rate of AdamW; it warms up over ``warmup`` steps.
    falling : float
        Last share of the time given, over which the rate falls to nothing.
    sigma_mean, sigma_spread : float
        Mean and standard deviation of the logarithm of the training noise, of a pilot that of its data.
    sigma_data : float
        Standard deviation of the data on [-1, 1].
    ema : float
        Decay of the averaged weights per step.
    examples : int
        Simulated examples: scenes, kernels or fields of tilts.
    kernels : int
        Simulated kernels by which a pilot's images are blurred.
    labels : tuple of str
        Domains that an image network is told.
    families : tuple of str
        Families of the kernels, out of `blinddps_sci.simulate.FAMILIES`, empty for all of them; or the one of
        the tilts, out of `blinddps_sci.training.tilts.TILT_FAMILIES`.

    Raises
    ------
    ConfigError
        If ``falling`` is no share.
    """

    net: UNetConfig | PilotConfig
    size: int
    batch: int
    large: float = 0.0
    learning_rate: float = 5e-4
    warmup: int = 200
    falling: float = 0.25
    sigma_mean: float = -0.8
    sigma_spread: float = 1.6
    sigma_data: float = 0.5
    ema: float = 0.999
    examples: int = 0
    kernels: int = 0
    labels: tuple[str, ...] = field(default=())
    families: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 0 < self.falling <= 1:
            raise ConfigError(f"falling is {self.falling}; give a share of the time, above 0 and at most 1")

    @property
    def kernel_size(self) -> int:
        """Side of the kernels, of a network that has to do with them, pixels."""
        return self.net.size if isinstance(self.net, PilotConfig) else self.size

    @property
    def objective(self) -> Denoising | Piloting:
        """What the network is trained for."""
        if isinstance(self.net, PilotConfig):
            return Piloting(self.net)
        return Denoising(self.net, self.labels, self.sigma_data, self.sigma_mean, self.sigma_spread)


_SMALL = {"norm_groups": 8, "resblock_updown": False}

RECIPES: dict[str, Recipe] = {
    "image-small": Recipe(
        UNetConfig(1, 1, 32, (1, 2, 2, 4), middle_attention=False, num_classes=4, **_SMALL),  # type: ignore[arg-type]
        size=64,
        batch=16,
        large=0.5,
        warmup=100,
        falling=0.65,
        examples=2000,
        # The split sampler visits noise from 1 to 0.02; the rest is for the published one.
        sigma_mean=-1.2,
        sigma_spread=1.4,
        labels=("astro", "micro", "generic", "unlabelled"),
    ),
    "kernel-small": Recipe(
        UNetConfig(1, 1, 32, (1, 2, 3), attention_downsample=(4,), **_SMALL),  # type: ignore[arg-type]
        size=32,
        batch=512,
        learning_rate=1e-3,
        ema=0.9995,
        examples=200_000,
        sigma_mean=-1.0,
    ),
    "kernel-wide": Recipe(
        # A burst has a kernel for every frame and tile, so that these have to be cheap.
        UNetConfig(1, 1, 24, (1, 2, 3), attention_downsample=(4,), patch=2, **_SMALL),  # type: ignore[arg-type]
        size=64,
        batch=64,
        learning_rate=1e-3,
        ema=0.999,
        examples=40_000,
        sigma_mean=-1.0,
        families=("short-exposure", "adaptive", "long-exposure"),
    ),
    "tilt-small": Recipe(
        # One level, because a unit has few nodes along each axis; its attention sees them all.
        UNetConfig(2, 2, 32, (1,), num_res_blocks=2, **_SMALL),  # type: ignore[arg-type]
        size=16,
        batch=128,
        learning_rate=1e-3,
        examples=16_000,
        sigma_mean=-1.5,
        families=("atmosphere",),
    ),
    "pilot-small": Recipe(
        PilotConfig(),
        size=96,
        batch=24,
        learning_rate=1e-3,
        falling=0.6,
        ema=0.998,
        examples=2000,
        kernels=60_000,
        # Noise of 1 % of the range, and of three times as much and as little.
        sigma_mean=-3.9,
        sigma_spread=0.6,
    ),
    "tilt-published": Recipe(
        UNetConfig(2, 2, 24, (1, 2), middle_attention=False, **_SMALL),  # type: ignore[arg-type]
        size=64,
        batch=32,
        learning_rate=1e-3,
        sigma_data=0.2,
        examples=1000,
        sigma_mean=-1.5,
        families=("published",),
    ),
}
"""The recipes, by the name of the shipped prior whose network they have.

They are what these priors were made by in their last run: `image-small` from a network trained on 1500
scenes and patches of 64 pixels only, `kernel-wide` from one that had seen more families. But `kernel-small`
was set for a GPU afterwards: the prior saw batches of 64 and 40 000 kernels, as its card says.
"""


def load_recipe(name: str) -> Recipe:
    """Return the recipe called ``name``, or read the TOML file of that name.

    Raises
    ------
    ConfigError
        If there is neither, or the file has an unknown field or a value out of its range.
    """
    if name in RECIPES:
        return RECIPES[name]
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise ConfigError(f"no recipe {name!r}; give one of {', '.join(RECIPES)} or a TOML file")
    try:
        fields: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from None
    network = PilotConfig if "pilot" in fields else UNetConfig
    table = "pilot" if "pilot" in fields else "net"
    net = fields.pop(table, {})
    if not isinstance(net, dict):
        raise ConfigError(f"{name}: {table} is {net!r}; give a table [{table}] of the network's fields")
    for kind, given in ((network, net), (Recipe, fields)):
        known = {f.name for f in dataclasses.fields(kind)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ConfigError(f"{name}: unknown field {unknown[0]!r}; allowed: {', '.join(sorted(known))}")
    try:
        return Recipe(network(**_tuples(net)), **_tuples(fields))
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"{name}: {error}") from None


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with TOML's arrays as tuples, which a trained network's labels are compared with."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
