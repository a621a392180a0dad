"""The spec of a run: everything from which any process makes the same job again, as a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import xarray as xr

from blinddps_sci.engine.channels import Channel
from blinddps_sci.engine.config import RestoreConfig, make_config
from blinddps_sci.engine.job import Job, prepare
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.spool import open_spool, spool
from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack

__all__ = ["Spec", "is_path", "open_input", "read_spec", "write_spec"]

_MAY_BE_FILES = ("prior", "kernel_prior", "tilt_prior", "psf_file", "dark", "flat", "bad_pixels")


@dataclass(frozen=True)
class Spec:
    """A job without its arrays and networks.

    Parameters
    ----------
    source : list of str
        Absolute paths of the input.
    spooled : bool
        Whether the source is the copy that the run made of an array in memory; HDU, channel and region have
        been selected in it.
    config : dict
        The resolved options, as they were given: the fingerprint is of these.
    files : dict of str to str
        Absolute paths of the options that name a file.
    channels : list of dict
        What was measured once of each channel; see `Channel.as_dict`.
    fingerprint : str
        That of the job.
    """

    source: list[str]
    spooled: bool
    config: dict[str, Any]
    files: dict[str, str]
    channels: list[dict[str, Any]]
    fingerprint: str

    @classmethod
    def of(cls, job: Job, source: list[str], *, spooled: bool = False) -> Spec:
        """Return the spec of a job whose stack can be opened from ``source``."""
        config = job.config.model_dump(mode="json")
        files = {name: Path(config[name]) for name in _MAY_BE_FILES if config[name] is not None}
        return cls(
            source=source,
            spooled=spooled,
            config=config,
            files={name: str(path.absolute()) for name, path in files.items() if path.is_file()},
            channels=[channel.as_dict for channel in job.channels],
            fingerprint=job.fingerprint,
        )

    def job(self, changes: Mapping[str, Any] | None = None) -> Job:
        """Make the job.

        Parameters
        ----------
        changes : mapping, optional
            Options that are to be others than those of the spec.

        Raises
        ------
        InputError
            If the answer would be another: input, weights or package have changed since, or an option was
            given that decides it.
        """
        config = make_config({**self.config, **(changes or {})})
        unchanged = [name for name in self.files if getattr(config, name) == self.config[name]]
        found = config.model_copy(update={name: self.files[name] for name in unchanged})
        job = prepare(self.stack(), found, tuple(map(Channel.from_dict, self.channels)))
        given = job.config.model_copy(update={name: self.config[name] for name in unchanged})
        job = replace(job, config=given)
        if job.fingerprint != self.fingerprint:
            raise InputError(
                f"the run {self.fingerprint} cannot go on: its input, weights, package or options have "
                f"changed since (they give {job.fingerprint}); restore again, with --overwrite"
            )
        return job

    def stack(self) -> xr.Dataset:
        """Open the input.

        Raises
        ------
        InputError
            If it is not there any more, or cannot be read.
        """
        if self.spooled:
            return open_spool(Path(self.source[0]))
        config = make_config({**self.config, **self.files})
        return open_input(self.source if len(self.source) > 1 else self.source[0], config)


def open_input(source: Any, config: RestoreConfig) -> xr.Dataset:
    """Open what is to be restored: the part, the channel and the calibration that the options say.

    Raises
    ------
    InputError
        As `open_stack`.
    """
    return open_stack(
        source,
        hdu=config.hdu,
        channel=config.channel,
        region=config.region,
        dark=config.dark,
        flat=config.flat,
        bad_pixels=config.bad_pixels,
    )


def is_path(source: Any) -> bool:
    """Return whether a stack was opened from files; one that was not is copied for other processes."""
    given = source if isinstance(source, list | tuple) else [source]
    return all(isinstance(item, str | os.PathLike) for item in given)


def write_spec(job: Job, source: Any, folder: RunFolder) -> None:
    """Write the spec of a run into its folder, and a copy of an input that no other process can open.

    Parameters
    ----------
    job : Job
        From `prepare`.
    source : path or sequence of paths or object
        What its stack was opened from; anything but paths is copied.
    folder : RunFolder
        The run.

    Raises
    ------
    OutputError
        If the copy cannot be written.
    """
    if is_path(source):
        given = source if isinstance(source, list | tuple) else [source]
        spec = Spec.of(job, [str(Path(item).expanduser().absolute()) for item in given])
    else:
        spool(job.dataset, folder.input)
        spec = Spec.of(job, [folder.input.name], spooled=True)
    partial = folder.spec.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(spec), indent=1))
    partial.replace(folder.spec)


def read_spec(path: Path) -> Spec:
    """Read a spec.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    try:
        found = dict(json.loads(path.read_text()))
        foreign = "fingerprint" in found and found.keys() != {field.name for field in fields(Spec)}
        spec = None if foreign else Spec(**found)
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not the spec of a run ({error})") from None
    if spec is None:
        raise InputError(f"{path} was written by another version; restore again, with --overwrite")
    # A copy lies beside its spec, wherever that has been moved to.
    return replace(spec, source=[str(path.parent / item) for item in spec.source])
