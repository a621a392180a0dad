"""
How far to trust a pixel
========================

A result has a standard deviation, which says where the image is uncertain; with a truth at
hand one can ask whether it says so rightly.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/uncertainty.png'
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from blinddps_sci import restore
from blinddps_sci.metrics import align
from blinddps_sci.simulate import moffat
from blinddps_sci.simulate.blur import blur

SIZE, PSF, NOISE = 96, 32, 0.01
rng = np.random.default_rng(8)
picture = skimage.data.coins()[:302, :384].reshape(151, 2, 192, 2).mean(axis=(1, 3)) / 255
scene = picture[: SIZE + PSF - 1, 20 : 20 + SIZE + PSF - 1]
truth = scene[PSF // 2 - 1 :, PSF // 2 - 1 :][:SIZE, :SIZE]
data = blur(scene, moffat(PSF, 3.5)) + NOISE * rng.standard_normal((SIZE, SIZE))

# %%
# More draws make a better standard deviation; six are the default, twelve those of
# ``quality="best"``.

result = restore(data, noise=f"gaussian:{NOISE}", quality="fast", samples=12)
restored, std = result.image.values, result["std"].values
wide = result["std"].attrs["interval_95"]

# %%
# A blind result may lie a fraction of a pixel beside the truth, which no data can tell.
# It is moved there first; that costs five pixels at the border.

moved = align(restored, truth, 2)
error, expected = moved.estimate - moved.truth, std[5:-5, 5:-5]

# %%
# Of all pixels, 68 % should lie within one standard deviation. Large errors are more
# frequent than a Gaussian's, so that 95 % do not lie within two: the result says within
# how many. Where the image is uncertain the error should be large, which the correlation
# measures.

distance = np.abs(error) / expected
print(
    f"within one standard deviation: {np.mean(distance < 1):.0%} of the pixels; 68 % expected"
)
print(f"within {wide:.1f} of them: {np.mean(distance < wide):.0%}; 95 % expected")
print(
    f"mean standard deviation {expected.mean():.4f}, rms error {np.sqrt(np.mean(error**2)):.4f}"
)
print(
    f"correlation of both: {np.corrcoef(expected.ravel(), np.abs(error).ravel())[0, 1]:.2f}"
)

figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
panels = {
    "blurred": data,
    "restored": restored,
    "truth": truth,
    "standard deviation": expected,
    "|error|, on the same scale": np.abs(error),
}
for axis, (title, image) in zip(axes.flat, panels.items(), strict=False):
    cmap, top = (
        ("gray", 1)
        if image.shape == data.shape
        else ("viridis", np.percentile(np.abs(error), 99))
    )
    axis.imshow(image, cmap=cmap, vmin=0, vmax=top)
    axis.set_title(title)
    axis.set_axis_off()
axes[1, 2].hist((error / expected).ravel(), np.linspace(-8, 8, 65), color="tab:green")
for limit, style, share in ((1, "-", "68 %"), (wide, "--", "95 %")):
    axes[1, 2].axvline(-limit, color="k", ls=style)
    axes[1, 2].axvline(limit, color="k", ls=style, label=share)
axes[1, 2].set_title("error / standard deviation")
axes[1, 2].legend(frameon=False, fontsize=8, title="expected")

# %%
# Right on average is not right everywhere. On the relief of these coins, which the blur has taken and
# the prior does not expect, they are too small: where all draws lack the same, they agree. On the
# plain ground they are too large. :doc:`/uncertainty` says how they are made.
#
# .. image:: /examples/pictures/uncertainty.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/uncertainty.txt
#    :language: none
