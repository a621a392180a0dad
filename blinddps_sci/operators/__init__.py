"""The physics: operators that predict the data from the unknowns.

A sampler calls `Operator.forward`; the maps from a network's domain to physical units
(`AsinhStretch`, `recentre`) live here too, because they belong to what is measured.
"""

from __future__ import annotations

from blinddps_sci.operators.base import Given, Operator
from blinddps_sci.operators.blur import Blur, FieldBlur, NodeWindow
from blinddps_sci.operators.burst import Burst
from blinddps_sci.operators.centroid import centroid, recentre, recentre_sharp
from blinddps_sci.operators.chain import Chain
from blinddps_sci.operators.convolve import convolve, convolve_adjoint_image, convolve_adjoint_kernel
from blinddps_sci.operators.direct import Direct
from blinddps_sci.operators.downsample import Downsample
from blinddps_sci.operators.fourier import FourierMagnitude
from blinddps_sci.operators.published import PublishedBlur, PublishedTurbulence
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch
from blinddps_sci.operators.warp import TiltGrid, Warp

__all__ = [
    "AsinhStretch",
    "Blur",
    "Burst",
    "Chain",
    "Direct",
    "Downsample",
    "FieldBlur",
    "FourierMagnitude",
    "Given",
    "LinearStretch",
    "NodeWindow",
    "Operator",
    "PublishedBlur",
    "PublishedTurbulence",
    "TiltGrid",
    "Warp",
    "centroid",
    "convolve",
    "convolve_adjoint_image",
    "convolve_adjoint_kernel",
    "recentre",
    "recentre_sharp",
]
