"""Lengths and angles of a pixel in the two units that stacks use.

OME-Zarr, OME-TIFF and ImageJ write units in words; they become micrometres or arcseconds here.
"""

from __future__ import annotations

__all__ = ["physical"]

_MICROMETER = {
    "angstrom": 1e-4, "å": 1e-4,
    "picometer": 1e-6, "pm": 1e-6,
    "nanometer": 1e-3, "nm": 1e-3,
    "micrometer": 1.0, "micron": 1.0, "microns": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0,
    "millimeter": 1e3, "mm": 1e3,
    "centimeter": 1e4, "cm": 1e4,
    "inch": 25400.0, "in": 25400.0,
    "meter": 1e6, "m": 1e6,
}  # fmt: skip
_ARCSEC = {
    "arcsec": 1.0, "arcsecond": 1.0, "arcseconds": 1.0,
    "mas": 1e-3, "milliarcsecond": 1e-3,
    "arcmin": 60.0, "arcminute": 60.0,
    "deg": 3600.0, "degree": 3600.0,
}  # fmt: skip


def physical(size: float, unit: str | None) -> tuple[float, str]:
    """Convert a pixel's size.

    Parameters
    ----------
    size : float
        In `unit`.
    unit : str or None
        As a file writes it, such as ``"nanometer"``, ``"µm"`` or ``"metre"``.

    Returns
    -------
    size : float
        Converted; as given where the unit is not known.
    unit : str
        ``"micrometer"``, ``"arcsec"``, ``"pixel"`` for none, or the unknown unit itself.
    """
    text = (unit or "").strip()
    word = text.lower().replace("metre", "meter")
    if word in _MICROMETER:
        return size * _MICROMETER[word], "micrometer"
    if word in _ARCSEC:
        return size * _ARCSEC[word], "arcsec"
    return size, text if word not in ("", "pixel", "pixels", "none", "null") else "pixel"
