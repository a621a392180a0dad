"""The UNet: the published keys and shapes, independent items, what conditions it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from blinddps_sci.priors.unet import PUBLISHED, UNet, UNetConfig, timestep_embedding

KEYS = Path(__file__).resolve().parents[1] / "data" / "adm_state_dict_keys.txt"


@dataclass
class Listing:
    """What the key file says of one network; the shapes of the largest are not listed."""

    parameters: int
    tensors: int
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def listings() -> dict[str, Listing]:
    networks: dict[str, Listing] = {}
    for line in KEYS.read_text().splitlines():
        header = re.match(r"===== (\w+) params (\d+) tensors (\d+)", line)
        if header:
            name = header[1]
            networks[name] = Listing(int(header[2]), int(header[3]))
        elif line.strip():
            key, shape = line.split(maxsplit=1)
            networks[name].shapes[key] = tuple(int(n) for n in re.findall(r"\d+", shape))
    return networks


@pytest.mark.parametrize("name", ["image", "kernel", "tilt", "imagenet"])
def test_published_networks_have_the_published_tensors(name: str) -> None:
    listed = listings()[name]
    with torch.device("meta"):
        state = UNet(PUBLISHED[name]).state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == listed.parameters
    assert len(state) == listed.tensors
    if name != "imagenet":
        channels = listed.shapes.pop("out")[1]
        assert {key: tuple(tensor.shape) for key, tensor in state.items()} == listed.shapes
        assert PUBLISHED[name].out_channels == channels


def test_the_key_file_is_of_the_networks_that_are_published() -> None:
    assert set(listings()) == set(PUBLISHED)


def test_time_embedding_is_cosines_then_sines_of_falling_frequencies() -> None:
    embedding = timestep_embedding(torch.tensor([0.0, 3.0]), 6)
    angles = 3.0 * 10000 ** (-torch.arange(3) / 3)
    torch.testing.assert_close(embedding[0], torch.tensor([1.0, 1, 1, 0, 0, 0]))
    torch.testing.assert_close(embedding[1], torch.cat([angles.cos(), angles.sin()]))


@pytest.mark.parametrize("updown", [True, False])
@pytest.mark.parametrize("attention", [(), (2,)])
def test_items_of_a_batch_do_not_see_each_other(make_net, updown: bool, attention: tuple[int, ...]) -> None:
    net = make_net(resblock_updown=updown, attention_downsample=attention)
    x, t = torch.randn(3, 1, 8, 12), torch.tensor([1.0, 20.0, 500.0])
    whole = net(x, t)
    singles = torch.cat([net(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    assert whole.shape == x.shape
    torch.testing.assert_close(whole, singles, atol=1e-5, rtol=1e-5)


def test_the_output_depends_on_time_and_label(make_net) -> None:
    net = make_net(num_classes=3)
    x, t = torch.randn(1, 1, 8, 8), torch.tensor([5.0])
    base = net(x, t, torch.tensor([0]))
    assert (net(x, t, torch.tensor([2])) - base).abs().max() > 1e-3
    assert (net(x, t + 300, torch.tensor([0])) - base).abs().max() > 1e-3


def test_squares_of_pixels_enter_and_leave_as_channels(make_net) -> None:
    net = make_net(patch=2)
    assert net.config.factor == 4
    x, t = torch.randn(2, 1, 8, 12), torch.tensor([1.0, 20.0])
    assert net(x, t).shape == x.shape
    assert net.input_blocks[0][0].in_channels == 4
    # Nothing is lost on the way in and out: pixels of one square can be told apart.
    moved = torch.roll(x, 1, dims=-1)
    assert (net(moved, t) - net(x, t)).abs().max() > 1e-3


def test_a_fresh_network_answers_zero() -> None:
    # Karras' preconditioning then starts from the best linear denoiser
    net = UNet(UNetConfig(1, 2, 8, (1, 2), norm_groups=4, num_head_channels=8))
    assert net(torch.randn(2, 1, 8, 8), torch.tensor([1.0, 2.0])).abs().max() == 0


def test_a_configuration_survives_json(make_net) -> None:
    config = make_net(attention_downsample=(2,)).config
    again = UNetConfig(**json.loads(json.dumps(config.as_dict())))
    assert again.as_dict() == config.as_dict()
    assert again.factor == config.factor == 2
