"""The spec of a run: everything from which any process makes the same job again, as a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.job import Job, Resolved, prepare
from blinddps_sci.engine.photometry import NoiseModel
from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch

__all__ = ["Spec", "read_spec"]

_STRETCHES = {kind.__name__: kind for kind in (AsinhStretch, LinearStretch)}


@dataclass(frozen=True)
class Spec:
    """A job without its arrays and networks.

    Parameters
    ----------
    source : list of str
        Absolute paths of the input; empty for an array in memory, which no other process can open.
    config : dict
        The resolved options.
    stretch, noise : dict
        Measured once, on the whole stack.
    fingerprint : str
        That of the job.
    """

    source: list[str]
    config: dict[str, Any]
    stretch: dict[str, Any]
    noise: dict[str, Any]
    fingerprint: str

    @classmethod
    def of(cls, job: Job, source: Any) -> Spec:
        """Return the spec of a job that was prepared from ``source``."""
        given = source if isinstance(source, list | tuple) else [source]
        named = all(isinstance(item, str | os.PathLike) for item in given)
        return cls(
            source=[str(Path(item).absolute()) for item in given] if named else [],
            config=job.config.model_dump(mode="json"),
            stretch={"kind": type(job.stretch).__name__, **asdict(job.stretch)},
            noise=asdict(job.noise),
            fingerprint=job.fingerprint,
        )

    def write(self, path: Path) -> None:
        """Write the spec to a file, atomically."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.replace(path)

    def job(self, changes: Mapping[str, Any] | None = None) -> Job:
        """Make the job.

        Parameters
        ----------
        changes : mapping, optional
            Options that are to be others than those of the spec.

        Raises
        ------
        InputError
            If the input was an array in memory, or the answer would be another: input, weights or
            package have changed since, or an option was given that decides it.
        """
        if not self.source:
            raise InputError(
                "the input was an array in memory, which no other process can open; restore it again, or "
                "save it to a file first"
            )
        config = make_config({**self.config, **(changes or {})})
        source = self.source if len(self.source) > 1 else self.source[0]
        dataset = open_stack(source, hdu=config.hdu, channel=config.channel, region=config.region)
        stretch = dict(self.stretch)
        kind = _STRETCHES[stretch.pop("kind")]
        job = prepare(dataset, config, Resolved(kind(**stretch), NoiseModel(**self.noise)))
        if job.fingerprint != self.fingerprint:
            raise InputError(
                f"the run {self.fingerprint} cannot go on: its input, weights, package or options have "
                f"changed since (they give {job.fingerprint}); restore again, with --overwrite"
            )
        return job


def read_spec(path: Path) -> Spec:
    """Read a spec.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    try:
        return Spec(**json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not the spec of a run ({error})") from None
