"""The tasks of `blinddps bench tasks`: what each poses, and which methods it is solved with.

The settings were chosen on images that training leaves out (`--held-out`), never on those of the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blinddps_sci.bench import tasks_classical as classical
from blinddps_sci.bench.cases import PSF_SIZE
from blinddps_sci.bench.tasks_methods import Classical, Drawn, DrawnBlind, Method, Restored
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.split import Split

__all__ = ["TASKS", "Task"]

_DPS_STEPS = 100
_SPLIT = Drawn(Split(24))
_INPAINTING = {"biharmonic": Classical(classical.biharmonic)}
_DEBLURRING = {
    "richardson-lucy": Classical(classical.richardson_lucy),
    "wiener": Classical(classical.wiener),
}


def _dps(weight: float = 4.0, samples: int = 2, pull: float = 1.0, best: bool = False) -> Drawn:
    """Return the published sampler with a tenth of its steps, which pull ten times as hard."""
    return Drawn(Dps(_DPS_STEPS, weight=weight, unit=0.5), samples, pull=pull, best=best)


def _blind(**options: object) -> Restored:
    return Restored({"psf_size": PSF_SIZE, **options})


@dataclass(frozen=True, eq=False)
class Task:
    """How a problem is solved and scored.

    Parameters
    ----------
    methods : mapping of str to Method
        Those that sample, and `Classical` ones to compare with.
    turned : bool
        Whether an image and the same turned by 180 degrees, or moved, cannot be told apart.
    shifted : bool
        Whether the image may have moved by a few pixels.
    """

    methods: Mapping[str, Method]
    turned: bool = False
    shifted: bool = False


TASKS: dict[str, Task] = {
    "box-inpainting": Task({"split": Drawn(Split(24), noise=8.0), "dps": _dps(), **_INPAINTING}),
    "random-inpainting": Task({"split": _SPLIT, "dps": _dps(16.0), **_INPAINTING}),
    "super-resolution": Task(
        {"split": _SPLIT, "dps": _dps(16.0, pull=4.0), "bicubic": Classical(classical.bicubic)}
    ),
    "gaussian-deblurring": Task({"split": _SPLIT, "dps": _dps(), **_DEBLURRING}),
    "motion-deblurring": Task({"split": _SPLIT, "dps": _dps(), **_DEBLURRING}),
    "non-uniform-deblurring": Task(
        {
            "split": _SPLIT,
            "dps": _dps(),
            "richardson-lucy of the field": Classical(classical.field_richardson_lucy),
        }
    ),
    "poisson-deblurring": Task({"split": _SPLIT, "dps": _dps(), **_DEBLURRING}),
    "phase-retrieval": Task(
        {
            "split": Drawn(Split(60), noise=3.0, best=True),
            "dps": _dps(16.0, samples=4, best=True),
            "hybrid input-output": Classical(classical.hybrid_input_output),
        },
        turned=True,
    ),
    "blind-deblurring": Task(
        {
            "split": _blind(),
            "split, uniform kernel prior": _blind(kernel_prior="uniform"),
            "split, gaussian kernel prior": _blind(kernel_prior="gaussian"),
            "dps": _blind(sampler="dps", steps=_DPS_STEPS),
            "dps, uniform kernel prior": _blind(sampler="dps", steps=_DPS_STEPS, kernel_prior="uniform"),
            "dps, gaussian kernel prior": _blind(sampler="dps", steps=_DPS_STEPS, kernel_prior="gaussian"),
            "blind richardson-lucy": Classical(classical.blind),
        },
        shifted=True,
    ),
    "blind-super-resolution": Task(
        {
            "split": DrawnBlind(_SPLIT, PSF_SIZE),
            "dps": DrawnBlind(_dps(16.0, pull=4.0), PSF_SIZE, chains=2),
            "bicubic": Classical(classical.bicubic),
        },
        shifted=True,
    ),
    "turbulence": Task(
        {
            "split": Restored({"model": "turbulence", "quality": "fast"}),
            "dps": Restored({"model": "turbulence", "sampler": "dps", "steps": _DPS_STEPS}),
            "registered mean": Classical(classical.registered_mean),
            "lucky shift-and-add": Classical(classical.lucky),
        },
        shifted=True,
    ),
}
"""Every task by name, in the order of the table."""
