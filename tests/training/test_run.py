"""`train`: by one call from examples to a weights file that loads as a prior."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from skimage.io import imsave

from blinddps_sci.errors import ConfigError, PriorError
from blinddps_sci.priors.registry import load_pilot, load_prior
from blinddps_sci.priors.store import read_card
from blinddps_sci.training.examples import examples
from blinddps_sci.training.images import Pack
from blinddps_sci.training.loop import Trainer
from blinddps_sci.training.recipe import load_recipe
from blinddps_sci.training.run import begin, train

NET = """
[net]
in_channels = 1
out_channels = 1
model_channels = 8
channel_mult = [1, 2]
norm_groups = 4
num_head_channels = 8
resblock_updown = false
"""
SECONDS = 0.5


@pytest.fixture
def kernel_recipe(tmp_path: Path) -> str:
    path = tmp_path / "tiny-kernel.toml"
    path.write_text("size = 9\nbatch = 4\nexamples = 6\nwarmup = 2\n" + NET)
    return str(path)


@pytest.fixture
def image_recipe(tmp_path: Path) -> str:
    path = tmp_path / "tiny-image.toml"
    names = 'labels = ["astro", "micro", "generic", "unlabelled"]\n'
    path.write_text("size = 12\nbatch = 4\nexamples = 4\nwarmup = 2\n" + names + NET + "num_classes = 4\n")
    return str(path)


def test_a_kernel_prior_is_trained_loaded_and_trained_further(kernel_recipe: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    weights = train("kernel", folder, minutes=SECONDS / 60, recipe=kernel_recipe, licence="CC0")
    assert weights == folder / "tiny-kernel.safetensors"
    expected = {"kernels.npy", "kernels.json", "last.ckpt", "log.jsonl", "samples.png", weights.name}
    assert {path.name for path in folder.iterdir()} == expected
    prior, card = load_prior(str(weights), "kernel")
    assert (card.role, card.size, card.licence, card.parameterisation) == ("kernel", 9, "CC0", "edm")
    assert card.training_data.startswith("6 kernels of blinddps_sci.simulate.psf: all families")
    x = torch.randn(2, 1, 9, 9)
    with torch.no_grad():
        assert torch.isfinite(prior(x, torch.tensor([0.1, 5.0]))).all()
    steps = card.training["steps"]
    assert steps > 0

    with pytest.raises(ConfigError, match="already holds a run; give --resume"):
        train("kernel", folder, minutes=SECONDS / 60, recipe=kernel_recipe)
    train("kernel", folder, minutes=SECONDS / 60, recipe=kernel_recipe, resume=True)
    assert read_card(weights).training["steps"] > steps
    assert card.domain == "amplitude"
    assert prior.error is not None
    assert (prior.error.kind, len(prior.error.sigmas)) == ("value", 14)
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [steps, read_card(weights).training["steps"]]
    assert all(np.isfinite(record["loss"]) for record in records)


def test_an_image_prior_knows_its_labels(image_recipe: str, tmp_path: Path) -> None:
    data = tmp_path / "pictures" / "micro"
    data.mkdir(parents=True)
    for n in range(3):
        rng = np.random.default_rng(n)
        imsave(data / f"cells{n}.png", rng.integers(0, 255, (30, 30), dtype=np.uint8), check_contrast=False)
    folder = tmp_path / "run"
    weights = train("image", folder, minutes=SECONDS / 60, data=data.parent, recipe=image_recipe)
    prior, card = load_prior(str(weights), "image")
    assert card.labels == ["astro", "micro", "generic", "unlabelled"]
    assert "pictures" in card.training_data
    assert prior.labelled("micro").label == 1
    # None of the pictures is held out, or large enough to measure the error on.
    assert prior.error is None

    # the pack of one run serves another
    other = train("image", tmp_path / "other", minutes=0, data=folder / "pack.npz", recipe=image_recipe)
    assert read_card(other).training["steps"] == 0


def test_a_pilot_is_trained_on_images_and_kernels(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny-pilot.toml"
    net = "size = 12\nstages = 2\nfeatures = 2\nfull = 4\nhalf = 8\nblocks = 1\nwidth = 8\n"
    recipe.write_text("size = 24\nbatch = 4\nexamples = 4\nkernels = 5\nwarmup = 2\n[pilot]\n" + net)
    data, folder = tmp_path / "pictures", tmp_path / "run"
    data.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (60, 60), dtype=np.uint8)
    imsave(data / "noise.png", noise, check_contrast=False)
    weights = train("pilot", folder, minutes=SECONDS / 60, data=data, recipe=str(recipe))
    expected = {
        "kernels.npy",
        "kernels.json",
        "pack.npz",
        "pack.json",
        "last.ckpt",
        "log.jsonl",
        "samples.png",
    }
    assert {path.name for path in folder.iterdir()} == expected | {weights.name}
    pilot, card = load_pilot(str(weights))
    assert (card.role, card.size, card.parameterisation) == ("pilot", 12, "direct")
    assert card.training_data.endswith(
        "4 simulated scenes, blurred by 5 kernels of blinddps_sci.simulate.psf"
    )
    assert pilot(torch.rand(1, 1, 24, 24), torch.tensor([0.01]))[-1].shape == (1, 1, 12, 12)

    again = train("pilot", tmp_path / "again", minutes=0, data=data, recipe=str(recipe), start_from=weights)
    assert read_card(again).sha256 == card.sha256
    with pytest.raises(PriorError, match="is a prior of the pilot; a prior of the kernel is needed"):
        load_prior(str(weights), "kernel")


def test_examples_of_other_data_are_made_anew(
    image_recipe: str, kernel_recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run killed before its first checkpoint leaves examples, which the next one must not believe."""
    data, folder = tmp_path / "pictures", tmp_path / "run"
    data.mkdir()
    imsave(data / "a0.png", np.full((30, 30), 7, np.uint8), check_contrast=False)

    def pack(size: int = 12) -> Pack:
        examples("image", replace(load_recipe(image_recipe), size=size), data, folder, 0)
        return Pack.load(folder / "pack.npz")

    folder.mkdir()
    assert any((plane == 7).all() for plane in pack().planes)
    imsave(data / "a0.png", np.full((31, 31), 9, np.uint8), check_contrast=False)
    assert any((plane == 9).all() for plane in pack().planes)
    assert pack(size=14).planes[-1].shape == (28, 28)
    with monkeypatch.context() as patch:
        patch.setattr(Pack, "read", None)  # what is as it was is not read again
        assert pack(size=14).planes[-1].shape == (28, 28)

    for size in (9, 11):
        examples("kernel", replace(load_recipe(kernel_recipe), size=size), None, folder, 0)
        assert np.load(folder / "kernels.npy").shape == (6, size, size)


def test_examples_are_there_whole_or_not_at_all(
    kernel_recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(file: BinaryIO, values: np.ndarray) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    recipe = load_recipe(kernel_recipe)
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", die)
        with pytest.raises(KeyboardInterrupt):
            examples("kernel", recipe, None, tmp_path, 0)
    assert not (tmp_path / "kernels.npy").exists()
    examples("kernel", recipe, None, tmp_path, 0)
    assert np.load(tmp_path / "kernels.npy").shape == (6, 9, 9)


def test_a_network_may_start_from_anothers_weights(kernel_recipe: str, tmp_path: Path) -> None:
    first = train("kernel", tmp_path / "first", minutes=SECONDS / 60, recipe=kernel_recipe)
    second = train("kernel", tmp_path / "second", minutes=0, recipe=kernel_recipe, start_from=first)
    fresh = train("kernel", tmp_path / "fresh", minutes=0, recipe=kernel_recipe)
    digests = [read_card(weights).sha256 for weights in (first, second, fresh)]
    assert digests[0] == digests[1] != digests[2]


def test_a_network_may_start_from_a_shipped_one(tmp_path: Path) -> None:
    begun = Trainer(load_recipe("tilt-small"), tmp_path)
    begin(begun, "tilt", start_from="shipped")
    shipped, _ = load_prior("shipped", "tilt")
    for name, value in shipped.net.state_dict().items():
        torch.testing.assert_close(begun.model.net.state_dict()[name], value)
    with pytest.raises(PriorError, match="give one of"):
        begin(begun, "tilt", start_from="nobodys")


@pytest.mark.parametrize("role", ["image", "pilot"])
@pytest.mark.parametrize("data", [None, "nowhere"])
def test_an_image_prior_and_a_pilot_need_images(tmp_path: Path, role: str, data: str | None) -> None:
    folder = tmp_path / "run"
    with pytest.raises(ConfigError, match="needs --data FOLDER"):
        train(role, folder, minutes=1, data=data and tmp_path / data)
    assert not folder.exists()


def test_there_must_be_something_to_resume(kernel_recipe: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; leave out --resume"):
        train("kernel", tmp_path / "run", minutes=1, recipe=kernel_recipe, resume=True)
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe 'huge'"):
        train("kernel", tmp_path / "run", minutes=1, recipe="huge")
    assert not (tmp_path / "run").exists()
