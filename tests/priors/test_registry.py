"""The registry: names, labels and paths lead to networks; anything else says what there is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from blinddps_sci.errors import PriorError
from blinddps_sci.priors import registry
from blinddps_sci.priors.registry import SHIPPED, find, load_prior, shipped
from blinddps_sci.priors.store import PriorCard, save_denoiser
from blinddps_sci.priors.wrap import EDMDenoiser


@pytest.fixture
def weights(make_net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of two tiny networks that stands in for the shipped one."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for role, labels in (("image", ("astro", "generic")), ("kernel", ())):
        net = make_net(num_classes=len(labels))
        card = PriorCard(role, net.config.as_dict(), "edm", 8, labels=list(labels))
        save_denoiser(folder / f"{SHIPPED[role]}.safetensors", EDMDenoiser(net, labels), card)
    monkeypatch.setattr(registry, "_folder", lambda: folder)
    return folder


def test_names_labels_and_paths_are_found(weights: Path, tmp_path: Path) -> None:
    image, kernel = (weights / f"{SHIPPED[role]}.safetensors" for role in ("image", "kernel"))
    assert set(shipped()) == {SHIPPED["image"], SHIPPED["kernel"]}
    assert find("shipped", "image") == (image, None)
    assert find("shipped", "kernel") == (kernel, None)
    assert find(SHIPPED["image"], "image") == (image, None)
    assert find("astro", "image") == (image, "astro")
    other = tmp_path / "mine.safetensors"
    assert find(str(other), "image") == (other, None)


def test_a_label_is_part_of_what_is_loaded(weights: Path) -> None:
    x, sigma = torch.randn(1, 1, 8, 8), torch.tensor([0.5])
    astro, card = load_prior("astro", "image")
    generic, _ = load_prior("generic", "image")
    assert card.labels == ["astro", "generic"]
    assert (astro.label, generic.label) == (0, 1)
    assert (astro(x, sigma) - generic(x, sigma)).abs().max() > 1e-4


def test_a_network_is_loaded_once(weights: Path) -> None:
    first, _ = load_prior("shipped", "kernel")
    assert load_prior("shipped", "kernel")[0] is first


def test_a_network_that_was_written_anew_is_another_one(make_net, tmp_path: Path) -> None:
    path, digests = tmp_path / "net.safetensors", set()
    for written in (1, 2):
        net = make_net()
        card = PriorCard("image", net.config.as_dict(), "edm", 8)
        with torch.no_grad():
            next(net.parameters()).fill_(written)
        save_denoiser(path, EDMDenoiser(net), card)
        os.utime(path, (written, written))
        prior, found = load_prior(str(path), "image")
        assert (next(prior.net.parameters()) == written).all()
        digests.add(found.sha256)
    assert len(digests) == 2


def test_an_unknown_name_lists_what_is_allowed(weights: Path) -> None:
    with pytest.raises(PriorError, match=r"'faces'; give one of astro, generic, image-small or the path"):
        find("faces", "image")
    with pytest.raises(PriorError, match=r"unknown kernel prior 'astro'; give one of kernel-small or"):
        find("astro", "kernel")
    with pytest.raises(PriorError, match="unknown tilt prior 'shipped'; give one of none shipped"):
        find("shipped", "tilt")


def test_an_unknown_name_is_refused_whatever_is_shipped() -> None:
    with pytest.raises(
        PriorError, match=r"unknown image prior 'no such prior'.*or the path of a \.safetensors"
    ):
        load_prior("no such prior", "image")


def test_a_prior_of_another_unknown_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(PriorError, match="is a prior of the kernel; a prior of the image is needed"):
        load_prior(SHIPPED["kernel"], "image")
    copied = tmp_path / "copied.safetensors"
    shutil.copy(weights / f"{SHIPPED['image']}.safetensors", copied)
    with pytest.raises(PriorError, match="is a prior of the image; a prior of the kernel is needed"):
        load_prior(str(copied), "kernel")


def test_a_path_without_a_file_is_named() -> None:
    with pytest.raises(PriorError, match=r"no weights at nowhere/net\.safetensors"):
        load_prior("nowhere/net.safetensors", "image")


@pytest.mark.parametrize("role", ["image", "kernel"])  # tilts: tests/training/test_tilts.py
def test_the_shipped_network_denoises(role: str) -> None:
    if SHIPPED[role] not in shipped():
        pytest.skip(f"no {role} network is shipped in this tree")
    prior, card = load_prior("shipped", role)
    assert card.role == role
    assert card.licence != "not stated"
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(32.0) - 16, torch.arange(32.0) - 16, indexing="ij")
    clean = 2 * torch.exp(-(y**2 + x**2) / 18)[None, None] - 1
    noisy = clean + 0.3 * torch.randn_like(clean)
    with torch.no_grad():
        error = (prior(noisy, torch.tensor([0.3])) - clean).square().mean()
    assert error < 0.5 * (noisy - clean).square().mean()
