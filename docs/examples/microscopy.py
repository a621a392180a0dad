"""
Filaments under a microscope, OME-Zarr to OME-Zarr
==================================================

Filaments are simulated, seen by an objective of NA 0.8 that is slightly out of focus, and
counted photon by photon. The OME-Zarr knows the size of a pixel; the result knows it,
too.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/microscopy.png'
import matplotlib.pyplot as plt
import numpy as np

from blinddps_sci import Axis, restore, save_image
from blinddps_sci.metrics import mnc, psnr_shift
from blinddps_sci.simulate import expose, microscope_psf, random_scene
from blinddps_sci.simulate.blur import blur

SIZE, PSF, PIXEL = 128, 32, 0.1  # the pixel in micrometres
rng = np.random.default_rng(5)
scene = 150 * random_scene((SIZE + PSF - 1, SIZE + PSF - 1), rng, "filaments")
truth = scene[PSF // 2 - 1 :, PSF // 2 - 1 :][:SIZE, :SIZE]
psf = microscope_psf(
    PSF, na=0.8, wavelength=0.58, pixel=PIXEL, defocus=1.2, zernikes={7: 0.08}, centred=True
)

# %%
# ``expose`` draws electrons: Poisson noise, then read noise. Counts are in electrons
# here, so the gain is one.

counts = expose(blur(scene, psf), rng, gain=1.0, read_noise=2.0).frame
axes = [Axis("y", PIXEL, "micrometer"), Axis("x", PIXEL, "micrometer")]
save_image(counts, "filaments.ome.zarr", axes)

# %%
# Noise of counting grows with the signal. Say so: ``poisson-gaussian:GAIN,READ``.

result = restore(
    "filaments.ome.zarr",
    "restored.zarr",
    prior="micro",
    noise="poisson-gaussian:1,2",
    quality="fast",
)
restored, found = result.image.values, result.psf_kernel.values.reshape(PSF, PSF)
print("pixel:", result.attrs["pixel_scale"], result.attrs["pixel_unit"])
for name, image in (("counts", counts), ("restored", restored)):
    print(
        f"{name}: {psnr_shift(image[8:-8, 8:-8], truth[8:-8, 8:-8], 4, float(truth.max())):.1f} dB"
    )
print(
    f"light: {restored.mean() / truth.mean():.3f} of the truth; PSF: MNC {mnc(found, psf):.3f}"
)

# %%
# A restoration is of the plane in focus, and of nothing above or below it: see
# :doc:`/microscopy`.

figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
panels = {
    "counts": counts,
    "restored": restored,
    "truth": truth,
    "standard deviation": result["std"].values,
    "PSF, found": found,
    "PSF, true": psf,
}
for axis, (title, image) in zip(axes.flat, panels.items(), strict=True):
    cells = title in ("counts", "restored", "truth")
    axis.imshow(
        image,
        **(
            {"cmap": "gray", "vmax": np.percentile(truth, 99)}
            if cells
            else {"cmap": "magma"}
        ),
    )
    axis.set_title(title)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/microscopy.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/microscopy.txt
#    :language: none
