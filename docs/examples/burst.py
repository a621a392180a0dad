"""
A burst through turbulence
==========================

Six short exposures of the Moon through simulated turbulence become one scene: each frame
has a displacement and a PSF of its own for every tile. See :doc:`/turbulence`.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/burst.png'
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from blinddps_sci import restore, simulate_burst
from blinddps_sci.metrics import psnr_shift

FRAMES, SIDE, PSF = 6, 96, 32
moon = skimage.data.moon().reshape(256, 2, 256, 2).mean(axis=(1, 3)) / 255
scene = moon[-SIDE - 2 * PSF :, 20 : 20 + SIDE + 2 * PSF]
burst = simulate_burst(
    scene, "planetary-20cm", FRAMES, np.random.default_rng(7), size=PSF, sigma=0.01
)
frames, truth = burst.frames, burst.scene
print("frames", frames.shape, "truth", truth.shape)

# %%
# ``model="turbulence"`` makes one scene of all frames. Nothing is said of the telescope
# or the air.

result = restore(
    frames,
    model="turbulence",
    prior="astro",
    noise="gaussian:0.01",
    quality="fast",
    tile=48,
    overlap=16,
    unit=96,
)
restored = result.image.values
print("PSFs (frame, channel, node_y, node_x, ky, kx):", result.psf_kernel.shape)
print("tilts (frame, node_y, node_x, 2), pixels:", result.tilt.shape)

# %%
# The mean of the frames is smooth and blurred; the best of them is sharper and distorted.

edge = SIDE // 6
inside = (slice(edge, -edge), slice(edge, -edge))
scores = [psnr_shift(frame[inside], truth[inside], 6, 1.0) for frame in frames]
panels = {
    "best frame": frames[int(np.argmax(scores))],
    "mean of the frames": frames.mean(axis=0),
    "restored": restored,
    "truth": truth,
}
figure, axes = plt.subplots(2, 2, figsize=(6.4, 6.6), layout="constrained")
for axis, (title, image) in zip(axes.flat, panels.items(), strict=True):
    if title != "truth":
        print(f"{title}: {psnr_shift(image[inside], truth[inside], 6, 1.0):.1f} dB")
    axis.imshow(image, cmap="gray", vmin=truth.min(), vmax=truth.max())
    axis.set_title(title)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/burst.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/burst.txt
#    :language: none
