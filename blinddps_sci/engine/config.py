"""The configuration border: every option of a restoration, checked once.

The command line, a TOML file and the keywords of `blinddps_sci.restore` all end here. A
preset is applied first and explicit options override it; unknown fields are errors.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from blinddps_sci.errors import ConfigError

__all__ = [
    "EXECUTION",
    "QUALITIES",
    "RestoreConfig",
    "make_config",
    "parse_noise",
    "parse_shard",
    "read_toml",
]

QUALITIES: dict[str, dict[str, dict[str, int]]] = {
    "split": {
        "fast": {"steps": 12, "chains": 2, "samples": 4},
        "default": {"steps": 32, "chains": 2, "samples": 6},
        "best": {"steps": 40, "chains": 6, "samples": 12},
    },
    "dps": {
        "fast": {"steps": 250, "chains": 1, "samples": 1},
        "default": {"steps": 1000, "chains": 1, "samples": 1},
        "best": {"steps": 1000, "chains": 1, "samples": 8},
    },
}
"""What each preset of ``quality`` sets, by sampler."""

TURBULENCE: dict[str, dict[str, int]] = {
    "fast": {"steps": 10, "samples": 2},
    "default": {"steps": 14, "samples": 4},
    "best": {"steps": 20, "samples": 12},
}
"""What each preset of ``quality`` sets instead if a burst is restored by the split sampler."""

_WIDE = {"psf_size": 64, "tile": 96, "overlap": 48, "unit": 256, "psf": "per-tile", "chains": 1}
"""What else is preset for turbulence: kernels are wide, and change from place to place."""


EXECUTION = frozenset(
    {"compile", "dashboard", "deadline", "device", "memory_limit", "scheduler", "shard", "workers"}
)
"""Options that say where and how fast, and not what: a run may go on with others."""


class RestoreConfig(BaseModel):
    """Options of a restoration; the fields are the command line's options.

    Raises
    ------
    ConfigError
        From `make_config`, if a value is not allowed or a field is unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hdu: int | str | None = Field(None, description="FITS extension: number, name or NAME,VERSION")
    region: str | None = Field(None, description="part of the image: y0:y1,x0:x1")
    channel: int | str | None = Field(None, description="one channel, by number or name")
    dark: str | None = Field(None, description="file of dark frames, taken off the data")
    flat: str | None = Field(None, description="file of flat frames, by which the data are divided")
    bad_pixels: str | None = Field(None, description="file of bad pixels, those that are not zero")
    model: Literal["blur", "turbulence"] = Field(
        "blur",
        description="blur: every frame is an image of its own; "
        "turbulence: frames show one scene, each warped and blurred in its own way",
    )
    frames: Literal["all", "single"] = Field(
        "all", description="turbulence: restore one scene from all frames, or each frame alone"
    )
    keep: float = Field(1.0, gt=0, le=1, description="share of a burst's frames to use, the sharpest")
    tilt_prior: str = Field(
        "physical",
        description="prior of tilts: physical, shipped (its network), weights, published or uniform",
    )
    reach: int = Field(12, ge=4, le=256, description="largest displacement by turbulence, pixels")
    prior: str = Field(
        "generic", description="domain label (astro, micro, generic, unlabelled), weights, or gaussian"
    )
    kernel_prior: str = Field("shipped", description="shipped, weights, uniform or gaussian")
    psf: Literal["per-tile", "smooth", "shared"] = Field("smooth", description="how the PSF may vary")
    psf_units: int = Field(
        64, ge=1, description="units of a plane, spread evenly, that estimate a shared PSF (split)"
    )
    psf_size: int = Field(32, ge=3, le=256, description="side of the PSF, pixels")
    psf_file: str | None = Field(None, description="known PSF (FITS, TIFF or npy): not blind")
    sampler: Literal["split", "dps"] = Field(
        "split", description="split (fast) or dps (the published algorithm)"
    )
    quality: Literal["fast", "default", "best"] = Field(
        "default", description="preset of steps, chains and samples"
    )
    steps: int = Field(
        32, ge=2, le=100_000, description="noise levels of each phase (split), of the whole run (dps)"
    )
    chains: int = Field(
        2, ge=1, le=64, description="chains that estimate the PSF (split), or that each give `samples` (dps)"
    )
    samples: int = Field(6, ge=1, le=1024, description="posterior draws of the image")
    noise: str = Field(
        "auto", description="gaussian:SIGMA, poisson, poisson-gaussian:GAIN,READ[,BACKGROUND] or auto"
    )
    tile: int = Field(256, ge=32, description="side of a tile, pixels")
    overlap: int = Field(64, ge=0, description="overlap of tiles, pixels")
    unit: int = Field(1024, ge=32, description="side of a unit of work, one shard, pixels")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where networks run")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic of the networks; auto: split uses bfloat16 where it is native"
    )
    compile: bool = Field(False, description="compile the networks with torch.compile")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of every random number")
    workers: int | None = Field(None, ge=1, description="Dask workers to start on this machine")
    scheduler: str | None = Field(None, description="address of a Dask scheduler whose workers do the work")
    shard: str | None = Field(
        None, description="part i/n of the units, for a job array: they share one .zarr output"
    )
    deadline: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds after which a worker's task is given up as stuck",
    )
    dashboard: str | None = Field(
        None,
        description="[address:]port of Dask's dashboard, seen by this machine alone unless told; needs bokeh",
    )
    keep_trajectory: int = Field(0, ge=0, description="snapshots of the sampling to keep")
    memory_limit: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="memory to stay below, GiB"
    )

    @property
    def draws(self) -> int:
        """Posterior draws of every plane."""
        return self.samples * (self.chains if self.sampler == "dps" else 1)

    @property
    def merges(self) -> bool:
        """Whether all frames together are restored to one scene."""
        return self.model == "turbulence" and self.frames == "all"

    @property
    def estimates(self) -> bool:
        """Whether kernels are estimated first and images drawn later, or both in one go."""
        return self.sampler == "split" and self.psf_file is None and self.model == "blur"

    @field_validator("noise")
    @classmethod
    def _noise(cls, value: str) -> str:
        parse_noise(value)
        return value

    @field_validator("shard")
    @classmethod
    def _shard(cls, value: str | None) -> str | None:
        if value is not None:
            parse_shard(value)
        return value

    @model_validator(mode="after")
    def _tiles(self) -> RestoreConfig:
        if self.overlap > self.tile // 2:
            raise ValueError(
                f"overlap {self.overlap} leaves no core in a tile of {self.tile}; "
                f"lower overlap to at most {self.tile // 2} or raise tile"
            )
        if self.workers is not None and self.scheduler is not None:
            raise ValueError("workers and scheduler were both given; give one of them")
        if self.model == "turbulence" and (self.psf != "per-tile" or self.psf_file is not None):
            raise ValueError("turbulence has another PSF in every frame and tile; leave psf and psf-file out")
        if self.unit < self.tile:
            raise ValueError(f"unit {self.unit} is smaller than tile {self.tile}; raise unit or lower tile")
        return self


def parse_shard(text: str) -> tuple[int, int]:
    """Return i and n of a shard ``i/n``, counted from 0.

    Raises
    ------
    ValueError
        If it is none.
    """
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise ValueError(f"shard {text!r} is not i/n with i from 0 to n - 1, such as 0/4")
    return int(part), int(parts)


def parse_noise(text: str) -> tuple[str, tuple[float, ...]]:
    """Split a noise option into its model and numbers.

    Returns
    -------
    (str, tuple of float)
        ``auto``, ``poisson``, ``gaussian`` with (sigma,) or ``poisson-gaussian`` with (gain, read) or
        (gain, read, background).

    Raises
    ------
    ValueError
        If it is none of these.
    """
    model, _, rest = text.partition(":")
    wanted = {"auto": (0,), "poisson": (0,), "gaussian": (1,), "poisson-gaussian": (2, 3)}
    try:
        numbers = tuple(float(part) for part in rest.split(",")) if rest else ()
    except ValueError:
        numbers = ()
    positive = all(number > 0 for number in numbers[:2])  # a background may have any sign
    if len(numbers) not in wanted.get(model, ()) or not positive or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"noise {text!r} is not one of gaussian:SIGMA, poisson, poisson-gaussian:GAIN,READ[,BACKGROUND], "
            "auto (numbers greater than zero, but for the background)"
        )
    return model, numbers


def make_config(options: Mapping[str, Any]) -> RestoreConfig:
    """Return the configuration of explicit options over the preset that they name.

    Raises
    ------
    ConfigError
        One line naming the option, what was given and what is allowed.
    """
    sampler, quality = str(options.get("sampler", "split")), str(options.get("quality", "default"))
    preset: dict[str, Any] = dict(QUALITIES.get(sampler, {}).get(quality, {}))
    if options.get("model") == "turbulence":
        preset |= _WIDE | (TURBULENCE.get(quality, {}) if sampler == "split" else {})
    try:
        return RestoreConfig(**{**preset, **options})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(RestoreConfig.model_fields))
            raise ConfigError(f"unknown option {where!r}; the options are {allowed}") from None
        if first["type"] == "value_error":  # of a validator above, which says what was given
            raise ConfigError(first["msg"].removeprefix("Value error, ")) from None
        raise ConfigError(f"{where}: {first['msg']} (given {first['input']!r})") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return the options in a TOML file.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"configuration {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
