"""
Interrupted, and gone on with
=============================

A run is a set of units, each of which is marked once it is on the disk. It may be killed
at any moment; the result is the same. Here four units are restored with
``prior="gaussian"``, a regularised inversion that is quick.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/resume.png'
from contextlib import suppress

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from astropy.io import fits

from blinddps_sci import open_result, restore, resume
from blinddps_sci.simulate import moffat
from blinddps_sci.simulate.blur import blur

picture = skimage.data.moon()[:287, 200:487] / 255
np.save("psf.npy", moffat(32, 4.0))
data = blur(picture, np.load("psf.npy")) + 0.01 * np.random.default_rng(0).standard_normal(
    (256, 256)
)
fits.writeto("moon.fits", data.astype(np.float32), overwrite=True)

# %%
# A callback is told of every step. This one pulls the plug once two units are restored,
# as Ctrl-C would.

OPTIONS = {
    "prior": "gaussian",
    "psf_file": "psf.npy",
    "noise": "gaussian:0.01",
    "steps": 2,
    "samples": 2,
    "tile": 64,
    "overlap": 16,
    "unit": 128,
}


def pull_the_plug(event) -> None:
    if event.phase == "blend" and event.unit == 1 and event.progress is None:
        raise KeyboardInterrupt


with suppress(KeyboardInterrupt):
    restore("moon.fits", "moon.zarr", callback=pull_the_plug, **OPTIONS)
half = open_result("moon.zarr").dataset()["image"].load()
print(
    open_result("moon.zarr").status,
    f"- {np.isfinite(half).mean().item():.0%} of the pixels are there",
)

# %%
# ``resume`` goes on with what has no marker; ``blinddps resume moon.zarr`` does the same.
# Compare with a run that nobody has interrupted.

whole = resume("moon.zarr").image
again = restore("moon.fits", **OPTIONS).image
print(
    open_result("moon.zarr").status,
    "- the same as in one go, bit by bit:",
    np.array_equal(whole, again),
)

figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.1), layout="constrained")
for axis, (title, image) in zip(
    axes, {"data": data, "interrupted": half, "resumed": whole}.items(), strict=True
):
    axis.imshow(image, cmap="gray", vmin=0.3, vmax=0.8)
    axis.set_title(title)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/resume.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/resume.txt
#    :language: none
