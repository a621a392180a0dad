"""
A blurred deep field, FITS to FITS
==================================

A part of the Hubble deep field is blurred by the aberrated PSF of a telescope, with 1 %
noise, and restored by somebody who is told neither. Because the blur is ours, there is a
truth to compare with.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/deep_field.png'
import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from astropy.io import fits

from blinddps_sci import restore
from blinddps_sci.metrics import mnc, psnr_shift
from blinddps_sci.simulate import random_kernel
from blinddps_sci.simulate.blur import blur

# %%
# The blurred image is smaller than the scene by the size of the PSF: nothing is made up
# at its borders.

SIZE, PSF = 128, 32
rng = np.random.default_rng(11)
field = skimage.data.hubble_deep_field()[300:, 420:].mean(axis=-1) / 255
scene = field[: SIZE + PSF - 1, : SIZE + PSF - 1]
truth = scene[PSF // 2 - 1 :, PSF // 2 - 1 :][:SIZE, :SIZE]
psf = random_kernel(PSF, rng, "aberrated")
data = blur(scene, psf) + 0.01 * rng.standard_normal((SIZE, SIZE))
fits.writeto("field.fits", data.astype(np.float32), overwrite=True)

# %%
# One call restores it. ``quality="fast"`` is for looking; leave it out for the figures
# that you publish.

restore(
    "field.fits",
    "restored.fits",
    prior="astro",
    noise="gaussian:0.01",
    quality="fast",
    overwrite=True,
)

# %%
# The output holds the mean of the posterior draws (SCI), their standard deviation (ERR),
# flags (DQ), the PSFs (PSFGRID, one here) and reduced chi-squared (CHI2).

with fits.open("restored.fits") as hdus:
    hdus.info()
    restored, std = hdus["SCI"].data, hdus["ERR"].data
    found, chi2 = hdus["PSFGRID"].data[0], hdus["CHI2"].data.mean()

inside = (slice(8, -8), slice(8, -8))
for name, image in (("blurred", data), ("restored", restored)):
    print(f"{name}: {psnr_shift(image[inside], truth[inside], 4, 1.0):.1f} dB")
print(
    f"PSF: similarity to the true one (MNC) {mnc(found, psf):.3f}; reduced chi-squared {chi2:.2f}"
)

# %%
# Look at the PSF before you believe the image: what the two can trade against each other,
# the data do not decide.

figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
panels = {
    "blurred": data,
    "restored": restored,
    "truth": truth,
    "standard deviation": std,
    "PSF, found": found,
    "PSF, true": psf,
}
for axis, (title, image) in zip(axes.flat, panels.items(), strict=True):
    sky = image.shape == truth.shape and image is not std
    look = (
        {"cmap": "gray", "vmin": 0, "vmax": np.percentile(truth, 99.8)}
        if sky
        else {"cmap": "magma"}
    )
    axis.imshow(image, **look)
    axis.set_title(title)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/deep_field.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/deep_field.txt
#    :language: none
