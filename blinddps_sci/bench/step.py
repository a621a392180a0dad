"""`blinddps bench step`: what a step of `Dps` costs over its networks alone.

Both are timed in turn in one process, so that the ratio holds when the machine's speed drifts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.operators.blur import Blur
from blinddps_sci.operators.stretch import LinearStretch
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import KeyedNoise, Stream
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, Unknown

__all__ = ["run_step"]

_STEPS = 3


def run_step(size: int = 128, repeats: int = 7) -> str:
    """Return the cost of a step over a bare forward and backward pass, for batches of 1 and 8.

    Raises
    ------
    ConfigError
        If the size or the repeats are not positive.
    """
    if size < 1 or repeats < 1:
        raise ConfigError(f"size {size}, repeats {repeats}: both are at least 1")
    image_prior, _ = load_prior("generic", "image")
    kernel_prior, card = load_prior("shipped", "kernel")
    margin = (card.size + 1) // 2
    canvas = size + 2 * margin
    lines = [f"canvas {canvas} x {canvas}, kernel {card.size}, {torch.get_num_threads()} threads"]
    for batch in (1, 8):
        shapes = {"image": (batch, 1, canvas, canvas), "kernel": (batch, 1, card.size, card.size)}
        states = {name: torch.randn(shape) for name, shape in shapes.items()}
        sigma = torch.ones(batch)
        unknowns = {
            "image": Unknown(image_prior, shapes["image"][1:], ImageMap(LinearStretch(0.0, 1.0))),
            "kernel": Unknown(kernel_prior, shapes["kernel"][1:], KernelMap()),
        }
        data = torch.rand(batch, 1, size, size)
        noise = KeyedNoise([Stream(seed) for seed in range(batch)])

        def bare(states: dict[str, torch.Tensor] = states, sigma: torch.Tensor = sigma) -> None:
            for _ in range(_STEPS):
                for prior, state in ((image_prior, states["image"]), (kernel_prior, states["kernel"])):
                    x = state.detach().requires_grad_()
                    torch.autograd.grad(prior(x, sigma).sum(), x)

        def step(
            data: torch.Tensor = data,
            unknowns: dict[str, Unknown] = unknowns,
            noise: KeyedNoise = noise,
        ) -> None:
            Dps(steps=_STEPS, unit=0.5).run(data, Blur(margin), Gaussian(0.01), unknowns, noise)

        ratio, alone = _paired(step, bare, repeats)
        lines.append(f"batch {batch}: networks {1000 * alone / _STEPS:.1f} ms, step / networks = {ratio:.3f}")
    return "\n".join(lines)


def _paired(first: Callable[[], None], second: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Return the median ratio first / second and the median time of the second, in turn."""
    ratios, times = [], []
    for repeat in range(repeats + 1):
        spent = []
        for run in (first, second):
            begin = time.perf_counter()
            run()
            spent.append(time.perf_counter() - begin)
        if repeat:  # the first pair warms up
            ratios.append(spent[0] / spent[1])
            times.append(spent[1])
    return statistics.median(ratios), statistics.median(times)
