"""The training loop: a checkpoint that goes on bit for bit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.unet import UNet
from blinddps_sci.priors.wrap import EDMDenoiser
from blinddps_sci.training import loop
from blinddps_sci.training.loop import Batches, Trainer
from blinddps_sci.training.recipe import Recipe


def batches(recipe: Recipe) -> Batches:
    rng = np.random.default_rng(0)
    while True:
        items = 0.5 * rng.standard_normal((recipe.batch, 1, recipe.size, recipe.size), dtype=np.float32)
        yield items, np.zeros(recipe.batch, dtype=np.int64)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs a trainer for a number of steps, by a clock that counts calls."""

    def run(trainer: Trainer, steps: int, examples: Batches | None = None, **options: object) -> None:
        calls = iter(range(10**6))
        # One call begins the run, two belong to each step.
        monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(calls))))
        trainer.run(examples or batches(trainer.recipe), minutes=2 * steps / 60, **options)

    return run


def tensors(trainer: Trainer) -> list[torch.Tensor]:
    moments = [value for entry in trainer.optimiser.state.values() for value in entry.values()]
    return [*trainer.model.parameters(), *trainer.average.parameters(), *moments]


def equal(a: Trainer, b: Trainer) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def test_ten_steps_leave_a_checkpoint_and_a_log(recipe: Recipe, tmp_path: Path, train) -> None:
    trainer, saved = Trainer(recipe, tmp_path / "run"), []
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    train(trainer, 10, on_save=lambda t: saved.append(t.step))
    assert trainer.step == 10
    assert saved == [10]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["last.ckpt", "log.jsonl"]
    record = json.loads((tmp_path / "run" / "log.jsonl").read_text())
    assert record["step"] == 10
    assert 0.2 < record["loss"] < 5
    assert all(np.isfinite(value) for value in record["loss_by_sigma"].values())
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_checkpoints_are_written_on_the_way(recipe: Recipe, tmp_path: Path, train) -> None:
    trainer, saved = Trainer(recipe, tmp_path), []
    # The clock counts two seconds a step, and some for each checkpoint.
    train(trainer, 12, save_every=6.5 / 60, on_save=lambda t: saved.append((t.step, t.seconds)))
    assert [step for step, _ in saved] == [4, 8, trainer.step]
    assert trainer.step > 8
    logged = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert logged == [4, 8, trainer.step]
    times = [seconds for _, seconds in saved]
    assert times == sorted(times)
    assert times[-1] == trainer.seconds > 0


@pytest.mark.parametrize(("falling", "share"), [(0.05, 1.0), (0.1, 0.5), (1.0, 0.05)])
def test_the_rate_falls_over_the_last_share_of_the_time(
    recipe: Recipe, tmp_path: Path, train, falling: float, share: float
) -> None:
    trainer = Trainer(dataclasses.replace(recipe, falling=falling), tmp_path)
    train(trainer, 10)  # the last step at 19 of 20 seconds
    (group,) = trainer.optimiser.param_groups
    assert group["lr"] == pytest.approx(share * recipe.learning_rate)


def test_training_lowers_the_loss(recipe: Recipe, tmp_path: Path, train) -> None:
    # Flat items: a network that has seen some beats the linear denoiser that it starts as.
    levels = np.array([-0.5, 0.5], dtype=np.float32)

    def flat() -> Batches:
        rng = np.random.default_rng(0)
        while True:
            chosen = rng.choice(levels, (16, 1, 1, 1))
            yield np.tile(chosen, (1, 1, recipe.size, recipe.size)), np.zeros(16, dtype=np.int64)

    trainer = Trainer(dataclasses.replace(recipe, learning_rate=3e-3), tmp_path)
    for _ in range(2):
        train(trainer, 40, examples=flat())
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    first, second = (json.loads(line)["loss"] for line in lines)
    assert second < 0.7 * first


def test_a_run_resumes_with_the_same_bits(recipe: Recipe, tmp_path: Path, train) -> None:
    first = Trainer(recipe, tmp_path)
    train(first, 5)
    second = Trainer(recipe, tmp_path, seed=9)
    assert not torch.equal(tensors(first)[0], tensors(second)[0])
    second.resume()
    assert (second.step, second.seconds) == (first.step, first.seconds)
    assert equal(first, second)

    # and goes on as any other resumption of it does
    third = Trainer(recipe, tmp_path)
    second.seed = third.seed
    third.resume()
    for trainer in (second, third):
        train(trainer, 3)
        assert trainer.step == 8
    assert equal(second, third)
    assert not equal(first, second)


def test_the_first_weights_and_batches_follow_the_seed(recipe: Recipe, tmp_path: Path, train) -> None:
    runs = [Trainer(recipe, tmp_path / str(i), seed=seed) for i, seed in enumerate((3, 3, 4))]
    for trainer in runs:
        train(trainer, 2)
    assert equal(runs[0], runs[1])
    assert not equal(runs[0], runs[2])


def test_resuming_needs_a_checkpoint_of_the_same_network(recipe: Recipe, tmp_path: Path, train) -> None:
    with pytest.raises(ConfigError, match=r"last\.ckpt does not exist; leave out --resume"):
        Trainer(recipe, tmp_path).resume()
    train(Trainer(recipe, tmp_path), 1)
    other = dataclasses.replace(recipe, net=dataclasses.replace(recipe.net, model_channels=16))
    with pytest.raises(ConfigError, match="holds another network"):
        Trainer(other, tmp_path).resume()


def test_a_run_may_start_from_trained_weights(recipe: Recipe, tmp_path: Path, train) -> None:
    trained = Trainer(recipe, tmp_path / "trained")
    train(trained, 2)
    begun = Trainer(recipe, tmp_path / "begun", seed=4)
    begun.start_from(trained.average)
    for mine in (begun.model, begun.average):
        for a, b in zip(mine.parameters(), trained.average.parameters(), strict=True):
            assert torch.equal(a, b)
    assert begun.step == 0
    train(begun, 1)
    assert not torch.equal(next(begun.model.parameters()), next(trained.average.parameters()))


@pytest.mark.parametrize("changed", ["width", "labels"])
def test_weights_to_start_from_are_of_the_recipes_network(
    recipe: Recipe, tmp_path: Path, changed: str
) -> None:
    net = recipe.net
    if changed == "width":
        other = EDMDenoiser(UNet(dataclasses.replace(net, model_channels=16)))
    else:
        other = EDMDenoiser(UNet(net), ("a", "b"))
    with pytest.raises(ConfigError, match="another network than the recipe's"):
        Trainer(recipe, tmp_path).start_from(other)


def test_a_torn_write_leaves_the_last_checkpoint(
    recipe: Recipe, tmp_path: Path, train, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(recipe, tmp_path)
    train(trainer, 2)

    def torn(state: object, path: Path) -> None:
        Path(path).write_bytes(b"half a checkpoint")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", torn)
        with pytest.raises(OSError, match="no space"):
            train(trainer, 1)
    again = Trainer(recipe, tmp_path)
    again.resume()
    assert again.step == 2


def test_the_average_follows_slowly(recipe: Recipe, tmp_path: Path, train) -> None:
    trainer = Trainer(dataclasses.replace(recipe, ema=0.5), tmp_path)
    start = [parameter.detach().clone() for parameter in trainer.average.parameters()]
    train(trainer, 1)
    # (1 + 1) / (10 + 1) < 0.5 decides at the first step
    decay = 2 / 11
    for old, kept, new in zip(start, trainer.average.parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(kept, decay * old + (1 - decay) * new.detach())
