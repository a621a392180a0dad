"""One loop trains every network: the denoisers of images, kernels and tilts, and the pilot.

A checkpoint that resumes bit for bit in its weights is written every few minutes, and the averaged weights
are what is kept.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.pilot import Pilot
from blinddps_sci.priors.wrap import Denoiser
from blinddps_sci.training.loader import Batches
from blinddps_sci.training.recipe import Recipe

__all__ = ["Network", "Objective", "Trainer"]

Network = Denoiser | Pilot

_BINS = (0.02, 0.1, 0.3, 1.0, 3.0)
"""Edges of the noise levels between which the loss is logged apart."""

_SHOW_EVERY = 20
"""Steps between two looks at the loss; each look waits for the GPU."""


class Objective(Protocol):
    """What a network is trained for."""

    def build(self, device: str, *, compiled: bool = False) -> Network:
        """Return an untrained network on a device."""
        ...

    def losses(
        self, network: Any, batch: Sequence[Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each item of a batch, and the level of noise by which it is logged, (B,)."""
        ...


class Trainer:
    """A training run in a folder: ``last.ckpt``, ``log.jsonl`` and the averaged network.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    folder : Path
        Where checkpoints and the log go.
    device : str
        ``cpu`` or ``cuda``.
    seed : int
        Seed of weights and noise.
    compiled : bool
        Compile the network with ``torch.compile``: a minute at first, then faster on a GPU.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, *, device: str = "cpu", seed: int = 0, compiled: bool = False
    ) -> None:
        self.recipe, self.folder, self.device, self.seed = recipe, folder, device, seed
        self.objective: Objective = recipe.objective
        torch.manual_seed(seed)
        self.model = self.objective.build(device, compiled=compiled)
        self.average = self.objective.build(device)
        self.average.load_state_dict(self.model.state_dict())
        self.average.requires_grad_(False).eval()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), recipe.learning_rate, betas=(0.9, 0.99))
        self.step, self.seconds = 0, 0.0
        self._edges = torch.tensor(_BINS, device=device)
        self._losses = torch.zeros(len(_BINS) + 1, 2, device=device)

    @property
    def checkpoint(self) -> Path:
        """File that holds everything needed to go on."""
        return self.folder / "last.ckpt"

    def resume(self) -> None:
        """Go on from the last checkpoint.

        Raises
        ------
        ConfigError
            If there is none, or it belongs to another recipe.
        """
        if not self.checkpoint.is_file():
            raise ConfigError(f"{self.checkpoint} does not exist; leave out --resume to start anew")
        state: dict[str, Any] = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if state["net"] != self.recipe.net.as_dict():
            raise ConfigError(f"{self.checkpoint} holds another network; choose the recipe it was made with")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]

    def start_from(self, network: Network) -> None:
        """Take the weights of a trained network instead of random ones.

        Raises
        ------
        ConfigError
            If it is another network than the recipe's.
        """
        if _identity(network) != _identity(self.model):
            raise ConfigError("the weights to start from are of another network than the recipe's")
        for mine in (self.model, self.average):
            _weighted(mine).load_state_dict(_weighted(network).state_dict())

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        state = {
            "net": self.recipe.net.as_dict(),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)

    def run(
        self,
        batches: Batches,
        minutes: float,
        *,
        save_every: float = 3.0,
        on_save: Callable[[Trainer], None] = lambda trainer: None,
    ) -> None:
        """Train for ``minutes`` of wall time and leave a checkpoint.

        Parameters
        ----------
        batches : iterator
            See `blinddps_sci.training.loader.Batches`.
        minutes : float
            Time to spend, over whose last part the learning rate falls.
        save_every : float
            Minutes between checkpoints.
        on_save : callable
            Called with the trainer after each checkpoint (previews, export).
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + self.step)
        begin = last_save = time.monotonic()
        before = self.seconds
        with tqdm(desc="training", unit="step", mininterval=5) as bar:
            while (elapsed := time.monotonic() - begin) < 60 * minutes:
                loss = self._step(batches, generator, elapsed / (60 * minutes))
                if self.step % _SHOW_EVERY == 0:
                    bar.set_postfix(loss=f"{float(loss):.4f}", refresh=False)
                bar.update()
                if time.monotonic() - last_save > 60 * save_every:
                    self.seconds = before + time.monotonic() - begin
                    self._checkpoint(on_save)
                    last_save = time.monotonic()
        self.seconds = before + time.monotonic() - begin
        self._checkpoint(on_save)

    def _step(self, batches: Batches, generator: torch.Generator, progress: float) -> Tensor:
        recipe = self.recipe
        batch = [self._placed(torch.as_tensor(part)) for part in next(batches)]
        fall = min(1.0, (1 - progress) / recipe.falling)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (self.step + 1) / recipe.warmup) * max(fall, 0.02)

        losses, sigma = self.objective.losses(self.model, batch, generator)
        loss = losses.mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
            counted = torch.stack([losses, torch.ones_like(losses)], dim=1)
            self._losses.index_add_(0, torch.bucketize(sigma, self._edges), counted)
        return loss.detach()

    def _placed(self, part: Tensor) -> Tensor:
        layout = torch.channels_last if part.ndim == 4 else torch.preserve_format
        return part.to(self.device, memory_format=layout, non_blocking=True)

    def _checkpoint(self, on_save: Callable[[Trainer], None]) -> None:
        self.save()
        levels = [f"<{edge}" for edge in _BINS] + [f">={_BINS[-1]}"]
        by_level = {
            level: round(total / count, 5)
            for level, (total, count) in zip(levels, self._losses.tolist(), strict=True)
            if count
        }
        total, count = self._losses.sum(dim=0).tolist()
        record = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "loss": round(total / max(count, 1), 5),
            "loss_by_sigma": by_level,
        }
        self._losses.zero_()
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
        on_save(self)


def _weighted(network: Network) -> nn.Module:
    """Return the part of a network that has weights."""
    return network.net if isinstance(network, Denoiser) else network


def _identity(network: Network) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return architecture and labels."""
    if isinstance(network, Denoiser):
        return network.net.config.as_dict(), network.labels
    return network.config.as_dict(), ()
