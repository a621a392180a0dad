"""From a result to the files and objects that other programs use: the last step of a run.

FITS, OME-TIFF and PSF files are written by modules of their own; astropy's `CCDData` is made here.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from blinddps_sci.io.fits_export import export_fits, has_spread
from blinddps_sci.io.fits_header import image_header, world_header
from blinddps_sci.io.output_path import output_path_for, store_path_for
from blinddps_sci.io.psf_export import export_psf
from blinddps_sci.io.result_store import ResultStore
from blinddps_sci.io.tiff_export import export_tiff

if TYPE_CHECKING:
    from astropy.nddata import CCDData

__all__ = [
    "export_fits",
    "export_psf",
    "export_tiff",
    "output_path_for",
    "store_path_for",
    "to_ccddata",
]


def to_ccddata(store: ResultStore) -> CCDData:
    """Read a result into an astropy `CCDData`.

    Parameters
    ----------
    store : ResultStore
        The result; it is read whole.

    Returns
    -------
    astropy.nddata.CCDData
        Data and `StdDevUncertainty` in float32 (none of a single draw), unit (dimensionless if the
        input had none), WCS (of the planes only, for a cube with SIP), and the header of SCI as
        `meta`. The mask is True where `dq` is not zero: masked or saturated in the input, or without
        a result.
    """
    from astropy import units
    from astropy.nddata import CCDData, StdDevUncertainty

    record = store.attrs
    data, std, flags = (np.asarray(store.array(f"scale0/{name}")[...]) for name in ("image", "std", "dq"))
    sizes = dict(zip(store.dims, data.shape, strict=True))
    text = str(record.get("unit") or "")
    # A unit that astropy does not know stays as it is written.
    unit = units.Unit(text, parse_strict="silent") if text else units.dimensionless_unscaled
    return CCDData(
        data,
        unit=unit,
        uncertainty=StdDevUncertainty(std) if has_spread(store) else None,
        mask=flags != 0,
        wcs=_wcs(record, sizes),
        meta=image_header(record, sizes, store.status),
    )


def _wcs(record: dict[str, Any], sizes: dict[str, int]) -> Any:
    """WCS of the image, if its input had one."""
    from astropy.wcs import WCS, FITSFixedWarning

    if not record.get("wcs_header"):
        return None
    with warnings.catch_warnings():
        # wcslib mends old dates and units by itself and says so; none of it moves a pixel.
        warnings.simplefilter("ignore", FITSFixedWarning)
        header = world_header(record, sizes)
        # Astropy has distortions of images only: a cube then gets the WCS of its planes.
        distorted = any(key.endswith("_ORDER") for key in header)
        return WCS(header, naxis=2 if distorted else len(sizes))
