"""Recipes: by name or from a TOML file; what is not a field is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.pilot import PilotConfig
from blinddps_sci.priors.unet import UNet
from blinddps_sci.simulate import FAMILIES
from blinddps_sci.training.images import LABELS
from blinddps_sci.training.pilots import Piloting
from blinddps_sci.training.recipe import RECIPES, load_recipe
from blinddps_sci.training.tilts import TILT_FAMILIES

GOOD = """
size = 8
batch = 4
labels = ["a", "b"]
[net]
in_channels = 1
out_channels = 1
model_channels = 8
channel_mult = [1, 2]
norm_groups = 4
num_classes = 2
"""


def written(folder: Path, text: str | bytes) -> str:
    path = folder / "mine.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_shipped_recipes_make_networks_that_fit_their_patches(name: str) -> None:
    recipe = load_recipe(name)
    if isinstance(recipe.net, PilotConfig):
        assert recipe.size >= 2 * recipe.kernel_size == 64
        return
    with torch.device("meta"):
        net = UNet(recipe.net)
        shape = (2, recipe.net.in_channels, recipe.size, recipe.size)
        out = net(torch.empty(shape), torch.empty(2))
    assert out.shape == shape
    assert recipe.net.num_classes == len(recipe.labels)
    assert set(recipe.families) <= {*FAMILIES, *TILT_FAMILIES}
    if name.startswith("image"):
        assert recipe.labels == LABELS


def test_a_file_with_a_table_of_a_pilot_is_of_one(tmp_path: Path) -> None:
    recipe = load_recipe(
        written(tmp_path, "size = 24\nbatch = 4\nkernels = 9\n[pilot]\nsize = 12\nstages = 1\n")
    )
    assert recipe.net == PilotConfig(size=12, stages=1)
    assert (recipe.size, recipe.kernel_size, recipe.kernels) == (24, 12, 9)
    assert isinstance(recipe.objective, Piloting)


def test_a_file_holds_the_same_fields(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, GOOD))
    assert (recipe.size, recipe.batch, recipe.labels) == (8, 4, ("a", "b"))
    assert (recipe.net.model_channels, recipe.net.channel_mult) == (8, (1, 2))
    assert recipe.ema == 0.999


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("batch", "bathc"), "unknown field 'bathc'; allowed: batch, ema, examples"),
        (GOOD + "colour = 3\n", "unknown field 'colour'; allowed: attention_downsample, channel_mult"),
        ("size = \n", "is not valid TOML"),
        (b"size = 8 # \xff\xfe", "is not valid TOML"),
        (GOOD.replace("size = 8\n", ""), "missing .* argument: 'size'"),
        (GOOD.replace("in_channels = 1\n", ""), "missing .* argument: 'in_channels'"),
        ("falling = 0.0\n" + GOOD, "falling is 0.0; give a share of the time"),
        ("size = 8\nbatch = 4\nnet = 3\n", r"net is 3; give a table \[net\]"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(written(tmp_path, text))
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize("name", ["image-large", "absent.toml", "."])
def test_an_unknown_recipe_lists_what_there_is(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"no recipe '{name}'; give one of {', '.join(RECIPES)} or a TOML file"
    ):
        load_recipe(name)
