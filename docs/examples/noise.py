"""
What chi-squared tells about the noise
======================================

The noise decides how closely the data are followed. The same image is restored as if its
noise were half of what it is, what it is, and twice that.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/noise.png'
import matplotlib.pyplot as plt
import numpy as np

from blinddps_sci import restore
from blinddps_sci.metrics import psnr_shift
from blinddps_sci.simulate import moffat, random_scene
from blinddps_sci.simulate.blur import blur

SIZE, PSF, NOISE = 80, 32, 0.03
rng = np.random.default_rng(12)
scene = random_scene((SIZE + PSF - 1, SIZE + PSF - 1), rng, "galaxies")
scene = scene / np.percentile(scene, 99.5)
truth = scene[PSF // 2 - 1 :, PSF // 2 - 1 :][:SIZE, :SIZE]
data = blur(scene, moffat(PSF, 3.0)) + NOISE * rng.standard_normal((SIZE, SIZE))

# %%
# Reduced chi-squared of the draws is one if the noise is right, four if it is twice what was said,
# and a quarter if it is half of it. Told too little noise, a restoration makes structure of it;
# told too much, it leaves out what the data know. ``noise="auto"``, the default, measures it:
# :doc:`/noise` says how, and how well.

panels = {"blurred": data}
for said in (NOISE / 2, NOISE, 2 * NOISE, "auto"):
    option = said if said == "auto" else f"gaussian:{said}"
    result = restore(data, prior="astro", noise=option, quality="fast")
    restored = result.image.values
    score = psnr_shift(restored[8:-8, 8:-8], truth[8:-8, 8:-8], 4, 1.0)
    print(f"noise={option}: chi-squared {float(result.chi2.mean()):.2f}, {score:.1f} dB")
    panels[str(option)] = restored
panels["truth"] = truth

figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
for axis, (title, image) in zip(axes.flat, panels.items(), strict=True):
    axis.imshow(image, cmap="gray", vmin=0, vmax=np.percentile(truth, 99.8))
    axis.set_title(title)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/noise.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/noise.txt
#    :language: none
