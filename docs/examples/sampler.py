"""
The sampler by itself
=====================

Beneath `restore` lies one function that knows neither files nor tiles: `sample` takes
data, an operator, a likelihood and a prior for every unknown. Where all of it is Gaussian
the posterior is known in closed form, and draws can be judged.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/sampler.png'
import matplotlib.pyplot as plt
import numpy as np
import torch

from blinddps_sci import Unknown, sample
from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.operators import Blur, Given
from blinddps_sci.priors.gaussian import GaussianPrior
from blinddps_sci.sampling.split import Split
from blinddps_sci.simulate import gaussian

# %%
# A field of 16 x 16 pixels whose neighbours are correlated, seen through a known blur of
# 5 x 5 pixels. The image's canvas exceeds the data by two pixels on each side, which have
# to be inferred, too.

SIDE, MARGIN, SIGMA = 16, 2, 0.1
place = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
covariance = 0.16 * torch.exp(-torch.cdist(place, place) / 3)
prior = GaussianPrior(torch.zeros(SIDE**2).double(), covariance)
kernel = torch.as_tensor(gaussian(5, 1.0)).double()[None, None]
operator = Given(Blur(MARGIN), {"kernel": kernel})

torch.manual_seed(0)
root = torch.linalg.cholesky(covariance)
truth = (root @ torch.randn(SIDE**2).double()).reshape(1, 1, SIDE, SIDE)
clean = operator.forward({"image": truth})
data = clean + SIGMA * torch.randn_like(clean)

# %%
# Draw. Each item of a batch has a seed of its own, which fixes its answer whatever the
# rest of the batch is.

unknown = Unknown(prior, (1, SIDE, SIDE), clamp=None)
posterior = sample(
    data,
    operator,
    Gaussian(SIGMA),
    {"image": unknown},
    sampler=Split(steps=30),
    seeds=[1],
    samples=200,
)
draws = posterior.samples["image"][:, 0, 0]
print(posterior.status.value)

# %%
# The closed form: the posterior of a linear Gaussian problem.

unit = torch.eye(SIDE**2).double().reshape(-1, 1, SIDE, SIDE)
matrix = operator.forward({"image": unit}).flatten(1).T
precision = torch.linalg.inv(covariance) + matrix.T @ matrix / SIGMA**2
exact = torch.linalg.inv(precision)
mean = (exact @ (matrix.T @ data.flatten() / SIGMA**2)).reshape(SIDE, SIDE)
std = exact.diagonal().sqrt().reshape(SIDE, SIDE)
z = (draws.mean(dim=0) - mean) / std * np.sqrt(len(draws))
print(f"draws' mean against the exact one: {z.std():.2f} standard errors rms; 1 expected")
print(
    f"draws' deviation over the exact one: {(draws.std(dim=0) / std).mean():.3f}; 1 expected"
)
print(f"reduced chi-squared of the draws: {posterior.chi2.mean():.2f}")

figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
panels = {
    "data": data[0, 0],
    "mean of the draws": draws.mean(dim=0),
    "exact mean": mean,
    "truth": truth[0, 0],
    "std of the draws": draws.std(dim=0),
    "exact std": std,
}
for axis, (title, image) in zip(axes.flat, panels.items(), strict=True):
    cmap, low, high = ("viridis", 0, 0.4) if "std" in title else ("gray", -1, 1)
    axis.imshow(image, cmap=cmap, vmin=low, vmax=high)
    axis.set_title(title)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/sampler.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/sampler.txt
#    :language: none
