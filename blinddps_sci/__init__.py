"""Blind restoration of scientific images by parallel diffusion posterior sampling.

The public face. Names are imported when they are first used, so that importing the package
loads neither torch nor dask.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "Axis": "blinddps_sci.io.axes",
    "Dps": "blinddps_sci.sampling.dps",
    "Posterior": "blinddps_sci.sampling.posterior",
    "RestoreConfig": "blinddps_sci.engine.config",
    "Split": "blinddps_sci.sampling.split",
    "Stream": "blinddps_sci.sampling.noise",
    "Unknown": "blinddps_sci.sampling.unknown",
    "load_prior": "blinddps_sci.priors.registry",
    "open_levels": "blinddps_sci.io.ome_zarr",
    "open_result": "blinddps_sci.io.result",
    "open_stack": "blinddps_sci.io",
    "report": "blinddps_sci.engine.report",
    "restore": "blinddps_sci.engine.restore",
    "resume": "blinddps_sci.engine.restore",
    "sample": "blinddps_sci.sampling.sample",
    "save_image": "blinddps_sci.io.save",
    "simulate_burst": "blinddps_sci.simulate.burst",
}

__all__ = ["__version__", *sorted(_WHERE)]

if TYPE_CHECKING:
    from blinddps_sci.engine.config import RestoreConfig as RestoreConfig
    from blinddps_sci.engine.report import report as report
    from blinddps_sci.engine.restore import restore as restore
    from blinddps_sci.engine.restore import resume as resume
    from blinddps_sci.io import open_stack as open_stack
    from blinddps_sci.io.axes import Axis as Axis
    from blinddps_sci.io.ome_zarr import open_levels as open_levels
    from blinddps_sci.io.result import open_result as open_result
    from blinddps_sci.io.save import save_image as save_image
    from blinddps_sci.priors.registry import load_prior as load_prior
    from blinddps_sci.sampling.dps import Dps as Dps
    from blinddps_sci.sampling.noise import Stream as Stream
    from blinddps_sci.sampling.posterior import Posterior as Posterior
    from blinddps_sci.sampling.sample import sample as sample
    from blinddps_sci.sampling.split import Split as Split
    from blinddps_sci.sampling.unknown import Unknown as Unknown
    from blinddps_sci.simulate.burst import simulate_burst as simulate_burst


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
