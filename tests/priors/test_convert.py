"""Conversion: a published network's numbers survive, and no file is ever executed."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
import torch

from blinddps_sci.errors import OutputError, PriorError
from blinddps_sci.priors.convert import convert, read_state_dict
from blinddps_sci.priors.store import load_denoiser
from blinddps_sci.priors.unet import PUBLISHED, UNet
from blinddps_sci.priors.wrap import VPDenoiser


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[UNet, Path]:
    """Return a network of the published kernel architecture and its checkpoint."""
    torch.manual_seed(0)
    net = UNet(PUBLISHED["kernel"]).requires_grad_(False)
    for parameter in net.parameters():
        parameter.add_(0.01 * torch.rand_like(parameter))
    path = tmp_path_factory.mktemp("published") / "kernel_checkpoint.pt"
    torch.save(net.state_dict(), path)
    return net, path


def test_a_published_network_answers_the_same_after_conversion(
    published: tuple[UNet, Path], tmp_path: Path
) -> None:
    net, source = published
    target = tmp_path / "kernel.safetensors"
    card = convert(source, target, licence="CC0")
    denoiser, read = load_denoiser(target)
    assert read == card
    assert (card.role, card.size, card.parameterisation, card.licence) == ("kernel", 64, "vp", "CC0")
    x, sigma = torch.randn(2, 1, 16, 16), torch.tensor([0.05, 4.0])
    expected = VPDenoiser(net)(x, sigma)
    assert (expected - x).abs().max() > 1e-2
    torch.testing.assert_close(denoiser(x, sigma), expected)


def test_an_existing_file_is_kept_unless_told(published: tuple[UNet, Path], tmp_path: Path) -> None:
    target = tmp_path / "kernel.safetensors"
    target.write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        convert(published[1], target)
    assert target.read_text() == "precious"
    convert(published[1], target, overwrite=True)
    assert load_denoiser(target)[1].role == "kernel"


def test_another_architecture_is_refused_with_the_closest(
    published: tuple[UNet, Path], tmp_path: Path
) -> None:
    state = published[0].state_dict()
    first = "input_blocks.0.0.weight"
    source = tmp_path / "coloured.pt"
    torch.save({**state, first: state[first].repeat(1, 3, 1, 1)}, source)
    with pytest.raises(PriorError, match=rf"closest is 'kernel' \(1 tensors differ, e\.g\. {first}\)"):
        convert(source, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_tensors_of_no_known_network_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "other.pt"
    torch.save({"fc.weight": torch.zeros(3)}, source)
    with pytest.raises(
        PriorError, match="none of the published architectures image, kernel, tilt, imagenet;"
    ):
        convert(source, tmp_path / "out.safetensors")


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path, legacy: bool) -> None:
    sprung, source = tmp_path / "sprung", tmp_path / "trap.pt"
    state = {"weight": torch.zeros(2), "trap": Trap(sprung)}
    if legacy:
        source.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, source)
    with pytest.raises(PriorError, match="not a plain state dict"):
        convert(source, tmp_path / "out.safetensors")
    assert not sprung.exists()
    # The trap does work where a pickle is trusted.
    torch.load(source, weights_only=False) if not legacy else pickle.loads(source.read_bytes())
    assert sprung.exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_checkpoints_end_in_one_kind_of_error(tmp_path: Path, legacy: bool) -> None:
    path, rng = tmp_path / "damaged.pt", random.Random(0)
    torch.save({"a": torch.ones(3), "b": torch.zeros(2, 2)}, path, _use_new_zipfile_serialization=not legacy)
    sound = path.read_bytes()
    damaged = [rng.randbytes(n) for n in range(60)] + [sound[:n] for n in range(0, len(sound), 37)]
    for _ in range(200):
        flipped = bytearray(sound)
        flipped[rng.randrange(len(sound))] = rng.randrange(256)
        damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            read_state_dict(path)
        except PriorError:
            refused += 1
    # Some bytes are the tensors' values: without a checksum nothing can tell.
    assert refused > len(damaged) / 2


@pytest.mark.parametrize("content", [{}, [torch.zeros(2)], {"a": 3}, {1: torch.zeros(2)}, torch.zeros(2)])
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(PriorError, match="holds no state dict"):
        read_state_dict(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriorError, match=r"no checkpoint at .*absent\.pt"):
        convert(tmp_path / "absent.pt", tmp_path / "out.safetensors")
