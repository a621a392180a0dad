"""`restore`: from an image of any kind to its restoration, in one call."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blinddps_sci.engine.begin import Run, begin_run, join_run
from blinddps_sci.engine.budget import check_job
from blinddps_sci.engine.config import RestoreConfig, make_config, read_toml
from blinddps_sci.engine.driver import Event, continue_run
from blinddps_sci.engine.job import Job, prepare
from blinddps_sci.engine.run_folder import RunFolder, folders_of
from blinddps_sci.engine.spec import is_path, open_input, read_spec
from blinddps_sci.engine.verify import damaged_units, forget
from blinddps_sci.errors import ConfigError, InputError, NoveltyWarning, OutputError
from blinddps_sci.io import open_stack
from blinddps_sci.io.export import export_fits, export_tiff, to_ccddata
from blinddps_sci.io.output_path import new_folder
from blinddps_sci.io.result import ResultStore, open_result, output_path_for, store_path_for

if TYPE_CHECKING:
    import xarray as xr
    from astropy.nddata import CCDData

__all__ = [
    "check_output",
    "copy_result",
    "exporter_for",
    "prepare_restore",
    "quarantined",
    "restore",
    "resume",
    "verify",
]

_EXPORTERS = {".fits": export_fits, ".fit": export_fits, ".tif": export_tiff, ".tiff": export_tiff}


def exporter_for(output: Path) -> Callable[..., None]:
    """Return the function that writes a store as a file of the output's kind.

    Raises
    ------
    OutputError
        If the extension is neither FITS nor TIFF.
    """
    if output.suffix.lower() not in _EXPORTERS:
        raise OutputError(f"output {output} has no known extension; use .fits or .tif")
    exporter: Callable[..., None] = _EXPORTERS[output.suffix.lower()]
    return exporter


def copy_result(store: ResultStore, target: Path) -> None:
    """Copy a store; the copy has its name once it is whole.

    Raises
    ------
    OutputError
        If something of that name exists, or it cannot be written.
    """
    with new_folder(target) as folder:
        shutil.copytree(store.path, folder)


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse an output that cannot be written.

    Raises
    ------
    OutputError
        If its kind is unknown, its folder is missing, or it exists and must not be replaced.
    """
    if output.suffix.lower() not in {".zarr", *_EXPORTERS}:
        raise OutputError(f"output {output} has no known extension; use .zarr, .fits or .tif")
    if not output.parent.is_dir():
        raise OutputError(f"folder {output.parent} does not exist; create it or choose another output")
    for path in (output, store_path_for(output)):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists; choose another name or give --overwrite")


def prepare_restore(source: Any, options: dict[str, Any]) -> Job:
    """Return the job that `restore` would run; nothing is computed or written.

    Parameters
    ----------
    source : path, sequence of paths, array, DataArray, NDData
        As `restore`.
    options : dict
        Fields of `RestoreConfig`, and ``config`` for a TOML file whose options they override.
    """
    options = dict(options)
    file = options.pop("config", None)
    config = make_config({**(read_toml(Path(file)) if file else {}), **options})
    dataset = open_input(source, config)
    return prepare(dataset, config)


def restore(
    source: str | PathLike[str] | Sequence[str | PathLike[str]] | Any,
    output: str | PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    on_start: Callable[[Job], None] | None = None,
    callback: Callable[[Event], None] | None = None,
    **options: Any,
) -> xr.Dataset | CCDData:
    """Restore an image whose blur is unknown.

    Parameters
    ----------
    source : path, sequence of paths, array, DataArray, CCDData or NDData
        The image: FITS, OME-Zarr, TIFF, or an object in memory, (..., y, x). Several files are
        frames of one scene and become the axis ``t``.
    output : path, optional
        Where the result goes, ``.zarr``, ``.fits`` or ``.tif``; it appears when it is complete.
        Without it the result is returned in memory.
    overwrite : bool
        Whether an existing output may be replaced. A file is replaced at the end and survives a run
        that fails; a store makes room before the first step.
    on_start : callable, optional
        Called with the resolved `Job` once its run has a folder, before the first step.
    callback : callable, optional
        Called with an `Event` after every step; an exception it raises ends the run.
    **options
        Fields of `RestoreConfig`, e.g. ``prior='astro'``, ``steps=500``, ``noise='gaussian:3'``;
        ``config='FILE.toml'`` reads them from a file first.

    Returns
    -------
    xarray.Dataset or CCDData
        The restored ``image``, its ``std`` and ``dq`` flags, ``psf_kernel``, ``psf_std``, ``chi2`` and, of a
        burst, ``weight`` and ``tilt``, lazily from the store; of a FITS or TIFF output what `open_stack`
        reads from it. A `CCDData` with uncertainty, mask and WCS if that or an `NDData` was given.

    Raises
    ------
    BlindDpsError
        With one clear line, if input, options or output cannot be used.
    """
    from astropy.nddata import NDData

    if output is None:
        with tempfile.TemporaryDirectory() as folder:
            kept = restore(
                source, Path(folder) / "result.zarr", on_start=on_start, callback=callback, **options
            )
            return kept if isinstance(source, NDData) else kept.load()
    target = Path(output)
    shared = options.get("shard") is not None
    job = _checked(source, target, overwrite, options)
    if shared:
        run = join_run(job, target, source=source)
        if run.store.status == "complete":
            return _everything(run.store)
    else:
        run = begin_run(job, store_path_for(target), source=source, overwrite=overwrite)
    _warn(run.store)
    if on_start is not None:
        on_start(job)
    store = continue_run(run, callback=callback)
    if shared:
        return _everything(store)
    answer: xr.Dataset | CCDData | None = to_ccddata(store) if isinstance(source, NDData) else None
    found = _delivered(run, target, overwrite=overwrite)
    return found if answer is None else answer


def _checked(source: Any, target: Path, overwrite: bool, options: dict[str, Any]) -> Job:
    """Return the resolved job, if it can be run and its output be written."""
    if options.get("shard") is None:
        check_output(target, overwrite)
    elif overwrite or target.suffix.lower() != ".zarr":
        raise ConfigError("shards share one .zarr output, which none of them may overwrite; remove it first")
    job = prepare_restore(source, options)
    _check_inputs(source, job.config, target)
    if job.config.keep_trajectory and target.suffix.lower() != ".zarr":
        raise ConfigError(
            f"keep_trajectory is kept in a result store, not in {target.name}; use a .zarr output"
        )
    check_job(job, target.parent, copied=not is_path(source))
    return job


def _check_inputs(source: Any, config: RestoreConfig, output: Path) -> None:
    """Refuse an output that is an input, or holds one: it would be gone before it has been read."""
    given = source if isinstance(source, list | tuple) else [source]
    files = [item if is_path([item]) else getattr(item, "encoding", {}).get("source") for item in given]
    written = {path.resolve() for path in (output, store_path_for(output))}
    for file in (*files, config.dark, config.flat, config.bad_pixels, config.psf_file):
        if file is not None and written & {(path := Path(file).resolve()), *path.parents}:
            raise OutputError(f"{output} would replace {file}, an input; choose another name")


def _warn(store: ResultStore) -> None:
    """Tell the user if the data look unlike what the prior knows."""
    novelty = store.attrs.get("novelty")
    if novelty is not None and novelty["unlike"]:
        warnings.warn(novelty["sentence"], NoveltyWarning, stacklevel=3)


def resume(
    output: str | PathLike[str],
    *,
    overwrite: bool = False,
    on_start: Callable[[Job], None] | None = None,
    callback: Callable[[Event], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Go on with a restoration that was interrupted, or that gave up some of its units.

    Parameters
    ----------
    output : path
        The output that was asked for, or its store.
    overwrite : bool
        Whether a file that was there before the run may be replaced by what it ends with.
    on_start, callback : callable, optional
        As `restore`.
    **options
        Fields of `RestoreConfig` that say where it goes on (`EXECUTION`). Everything else is as it was.

    Returns
    -------
    xarray.Dataset
        As `restore`; of a run that is complete, its result.

    Raises
    ------
    BlindDpsError
        If there is no run to go on with, or its input, its weights or the package have changed, or a file
        must not be replaced.
    """
    store = open_result(output, "r+")
    target = output_path_for(store.path)
    folder = RunFolder.beside(store.path, str(store.attrs["fingerprint"]))
    if store.status == "complete" and not folder.quarantine and target == store.path:
        return _everything(open_result(store.path))
    # Its own file, without the units that were given up, is there already.
    overwrite = overwrite or bool(folder.quarantine)
    if target != store.path and target.exists() and not overwrite:
        raise OutputError(f"{target} exists; move it, or let it be overwritten (--overwrite)")
    run = _run_of(store, {"shard": None, **options})
    if on_start is not None:
        on_start(run.job)
    store.set_status("running")
    continue_run(run, callback=callback)
    return _delivered(run, target, overwrite=overwrite)


def verify(output: str | PathLike[str], *, repair: bool = False) -> dict[int | str, str]:
    """Compare every shard of a result store with what was written.

    Parameters
    ----------
    output : path
        The store, or the output that it lies beside.
    repair : bool
        Whether to restore damaged units and make damaged levels again.

    Returns
    -------
    dict of int or str to str
        The damaged units by their number, the damaged levels of the pyramid by their name, and what is
        wrong with each.

    Raises
    ------
    BlindDpsError
        If the store has no run; or if there is something to repair, and the input, the weights or the
        package have changed.
    """
    store = open_result(output, "r+" if repair else "r")
    folder = _folder_of(store)
    units = dict(damaged_units(store, folder))
    # What is wrong with a unit is wrong with the levels above it, too, and ends when it is repaired.
    levels = {} if units or store.status == "running" else store.damaged_levels()
    damaged: dict[int | str, str] = dict(units) | dict(levels)
    if repair and damaged:
        run = _run_of(store, {"shard": None})
        forget(folder, set(units))
        store.set_status("running")
        continue_run(run)
        _delivered(run, store.path, overwrite=False)
    return damaged


def _folder_of(store: ResultStore) -> RunFolder:
    """Return the folder of the run that fills a store."""
    folder = RunFolder.beside(store.path, str(store.attrs["fingerprint"]))
    if not folder.spec.exists():
        raise InputError(
            f"{store.path} has no run to go on with: {folder.spec} is not there; restore it again"
        )
    return folder


def _run_of(store: ResultStore, options: Mapping[str, Any] | None = None) -> Run:
    """Return the run that fills a store, from its folder."""
    folder = _folder_of(store)
    return Run(read_spec(folder.spec).job(options), folder, store)


def _delivered(run: Run, target: Path, *, overwrite: bool) -> xr.Dataset:
    """Export a finished run if its output is a file, tidy up, and open the output."""
    store, folder = run.store, run.folder
    whole = not folder.quarantine  # otherwise the run may still go on
    if target.absolute() != store.path:
        exporter_for(target)(store, target, overwrite=overwrite)
        if whole:
            shutil.rmtree(store.path)
            shutil.rmtree(folders_of(store.path))
        return open_stack(target)
    if whole:
        folder.compact()
    return _everything(open_result(store.path))


def quarantined(output: str | PathLike[str]) -> dict[int, str]:
    """Return the units of a restoration that were given up, and why."""
    store = store_path_for(Path(output))
    folders = folders_of(store).glob("*")
    return {unit: why for path in folders for unit, why in RunFolder(path).quarantine.items()}


def _everything(store: ResultStore) -> xr.Dataset:
    """Return images, PSFs and chi-squared of a result as one lazy dataset."""
    psf = store.psf().rename(kernel="psf_kernel", std="psf_std", position="psf_position")
    found = store.dataset().merge(psf).merge(store.quality())
    tilt = store.tilt()
    return found if tilt is None else found.assign(tilt=tilt["displacement"])
