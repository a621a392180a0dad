"""
Cosmic rays, a dead column, saturated stars
===========================================

What the detector did not see is told by a mask, or is NaN; a saturated pixel says that
the scene is at least so bright. Neither is filled in before: the restoration sees only
what was seen.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/bad_pixels.png'
import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.nddata import CCDData

from blinddps_sci import restore
from blinddps_sci.simulate import moffat, random_scene
from blinddps_sci.simulate.blur import blur

SIZE, PSF, FULL = 128, 32, 500.0
rng = np.random.default_rng(21)
scene = 30 * random_scene((SIZE + PSF - 1, SIZE + PSF - 1), rng, "stars") + 20
truth = scene[PSF // 2 - 1 :, PSF // 2 - 1 :][:SIZE, :SIZE]
seen = rng.poisson(blur(scene, moffat(PSF, 4.0))) + 5 * rng.standard_normal((SIZE, SIZE))

# %%
# Saturate the brightest stars, lose two columns, and draw the tracks of cosmic rays.

data, mask = np.minimum(seen, FULL), np.zeros(seen.shape, bool)
mask[:, 50:52] = True
for _ in range(12):
    y, x, angle = *rng.uniform(0, SIZE, 2), rng.uniform(0, np.pi)
    along = np.arange(12)
    rows, columns = (
        (y + along * np.sin(angle)).astype(int),
        (x + along * np.cos(angle)).astype(int),
    )
    inside = (rows < SIZE) & (columns < SIZE) & (columns >= 0)
    mask[rows[inside], columns[inside]] = True
data = np.where(mask, FULL, data)

# %%
# A ``CCDData`` goes in with its mask, and one comes out. Its header says where it
# saturates; a FITS file does, too.

frame = CCDData(data, unit=u.adu, mask=mask, meta={"SATURATE": FULL})
result = restore(frame, prior="astro", noise="poisson-gaussian:1,5", quality="fast")
print(type(result).__name__, "in", result.unit, "with", type(result.uncertainty).__name__)
print(f"masked: {mask.sum()} pixels; saturated: {int((data >= FULL).sum() - mask.sum())}")

# %%
# Nothing of the tracks and the column is left. A crowd of faint stars under this noise is not
# told apart: the prior makes threads of it.

figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.1), layout="constrained")
panels = {"data": data, "restored": result.data, "truth": truth}
for axis, (title, image) in zip(axes, panels.items(), strict=True):
    axis.imshow(np.arcsinh((image - 20) / 20), cmap="gray", vmin=0, vmax=np.arcsinh(60))
    axis.set_title(title)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/bad_pixels.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/bad_pixels.txt
#    :language: none
