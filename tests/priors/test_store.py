"""Weights files: what is written is what is read, and damage is an error, never an answer."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from blinddps_sci.errors import OutputError, PriorError
from blinddps_sci.priors.store import PriorCard, load_denoiser, read_card, save_denoiser
from blinddps_sci.priors.wrap import Denoiser, EDMDenoiser, VPDenoiser


@pytest.fixture
def saved(make_net, tmp_path: Path) -> tuple[Path, EDMDenoiser, PriorCard]:
    net = make_net(mult=(1,), middle_attention=False)
    card = PriorCard("kernel", net.config.as_dict(), "edm", 8, sigma_data=0.4, training={"steps": 3})
    denoiser = EDMDenoiser(net, sigma_data=0.4)
    path = tmp_path / "net.safetensors"
    return path, denoiser, save_denoiser(path, denoiser, card, dtype=torch.float32)


def answer(denoiser: Denoiser) -> torch.Tensor:
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    return denoiser(x, torch.tensor([0.1, 2.0]))


def test_a_network_and_its_card_survive(saved) -> None:
    path, denoiser, card = saved
    again, read = load_denoiser(path)
    assert read == card == read_card(path)
    assert len(card.sha256) == 64
    torch.testing.assert_close(answer(again), answer(denoiser))
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_half_precision_is_the_default_and_near(saved) -> None:
    path, denoiser, card = saved
    save_denoiser(path, denoiser, card)
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}
    again, _ = load_denoiser(path)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}
    torch.testing.assert_close(answer(again), answer(denoiser), atol=5e-3, rtol=5e-3)


def test_the_wrapper_and_the_labels_come_from_the_card(make_net, tmp_path: Path) -> None:
    net = make_net(num_classes=2)
    card = PriorCard("image", net.config.as_dict(), "vp", 8, labels=["a", "b"], vp_steps=40)
    save_denoiser(tmp_path / "vp.safetensors", VPDenoiser(net, ("a", "b"), steps=40), card)
    again, _ = load_denoiser(tmp_path / "vp.safetensors")
    assert isinstance(again, VPDenoiser)
    assert (again.steps, again.labels, again.label) == (40, ("a", "b"), 1)


def test_weights_in_channels_last_order_are_the_same_weights(saved) -> None:
    # as the training loop holds them
    path, denoiser, card = saved
    expected = answer(denoiser)
    denoiser.net.to(memory_format=torch.channels_last)
    again = save_denoiser(path, denoiser, card, dtype=torch.float32)
    assert again.sha256 == card.sha256
    assert torch.equal(answer(load_denoiser(path)[0]), answer(denoiser))
    torch.testing.assert_close(answer(denoiser), expected)


def test_no_damage_goes_unnoticed(saved) -> None:
    """One byte changed anywhere: refused, unless the same network comes out of it."""
    path, *_ = saved
    sound, rng = path.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(sound[:8], "little")
    places = rng.sample(range(header), 250) + rng.sample(range(header, len(sound)), 100)
    refused = {"header": 0, "tensors": 0}
    expected = answer(load_denoiser(path)[0])
    for place in places:
        flipped = bytearray(sound)
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            again, _ = load_denoiser(path)
        except PriorError:
            refused["header" if place < header else "tensors"] += 1
        else:
            assert torch.equal(answer(again), expected), f"byte {place} of {len(sound)}"
    assert refused["tensors"] == 100
    assert refused["header"] > 200


def test_a_truncated_file_is_refused(saved) -> None:
    path, *_ = saved
    sound = path.read_bytes()
    for length in (0, 5, 8, 200, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:length])
        with pytest.raises(PriorError, match="damaged or not a safetensors file"):
            load_denoiser(path)


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "random.safetensors"
    path.write_bytes(random.Random(1).randbytes(3000))
    with pytest.raises(PriorError, match="damaged or not a safetensors file"):
        read_card(path)


def rewrite(path: Path, **changed: object) -> None:
    """Write the file again with another card and a checksum-free description."""
    tensors = load_file(path)
    card = {**vars(read_card(path)), **changed}
    save_file(tensors, path, metadata={"format": "blinddps-prior-1", "card": json.dumps(card)})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sha256": "0" * 64}, "do not match their checksum"),
        ({"net": {"in_channels": 1}}, "do not fit its architecture"),
        ({"net": {"in_channels": 1, "out_channels": 1, "model_channels": 7}}, "do not fit its architecture"),
        ({"net": {"in_channels": 1, "out_channels": 1, "model_channels": 32}}, "do not fit its architecture"),
        ({"colour": "blue"}, "description .* is damaged"),
        ({"parameterisation": "edn"}, "parameterisation 'edn'"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(saved, changed: dict[str, object], message: str) -> None:
    path, *_ = saved
    rewrite(path, **changed)
    with pytest.raises(PriorError, match=message):
        load_denoiser(path)


def test_a_description_is_checked_against_its_own_checksum(saved) -> None:
    path, *_ = saved
    path.write_bytes(path.read_bytes().replace(b'sigma_data\\": 0.4', b'sigma_data\\": 0.9'))
    with pytest.raises(PriorError, match="does not match its checksum"):
        read_card(path)


def test_anothers_safetensors_file_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(PriorError, match="blinddps convert"):
        load_denoiser(path)


def test_integers_are_no_weights(saved) -> None:
    path, *_ = saved
    card = vars(read_card(path))
    tensors = {name: tensor.view(torch.int32) for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "blinddps-prior-1", "card": json.dumps(card)})
    with pytest.raises(PriorError, match="checksum"):
        load_denoiser(path)


def test_missing_files_and_folders_are_named(saved, tmp_path: Path) -> None:
    _, denoiser, card = saved
    with pytest.raises(PriorError, match=r"no weights at .*absent\.safetensors"):
        load_denoiser(tmp_path / "absent.safetensors")
    with pytest.raises(OutputError, match="nowhere does not exist"):
        save_denoiser(tmp_path / "nowhere" / "net.safetensors", denoiser, card)


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    path, denoiser, card = saved
    sound = path.read_bytes()

    def torn(tensors: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("blinddps_sci.priors.store.save_file", torn)
    with pytest.raises(OSError, match="no space"):
        save_denoiser(path, denoiser, card)
    assert path.read_bytes() == sound
