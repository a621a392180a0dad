"""Cards: what is beside the weights is about them or passed over, and people can read it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from blinddps_sci import cli
from blinddps_sci.errors import OutputError, PriorError
from blinddps_sci.priors.card import PriorCard, notes_beside, write_notes
from blinddps_sci.priors.card_text import describe_card
from blinddps_sci.priors.novelty import UNTOLD
from blinddps_sci.priors.registry import SHIPPED, find, load_prior, shipped
from blinddps_sci.priors.store import load_denoiser, read_card, save_denoiser
from blinddps_sci.priors.wrap import EDMDenoiser
from blinddps_sci.training import calibrate, novelty

NOVELTY = {"labels": {UNTOLD: {"error": [0.1, 0.2, 0.3], "limit": 4.0, "false_alarms": 0.05, "images": 20}}}


@pytest.fixture
def weights(make_net, tmp_path: Path) -> Path:
    net = make_net(mult=(1,), middle_attention=False)
    card = PriorCard("image", net.config.as_dict(), "edm", 8, training={"steps": 3})
    save_denoiser(tmp_path / "net.safetensors", EDMDenoiser(net), card)
    return tmp_path / "net.safetensors"


def test_error_and_novelty_are_measured_beside_the_weights(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    pictures = [("micro", gaussian_filter(rng.random((140, 150)), 2)) for _ in range(4)]
    for module in (calibrate, novelty):
        monkeypatch.setattr(module, "held_out_planes", lambda data: iter(pictures))
    monkeypatch.setattr(novelty, "_WINDOWS", 24)
    before = weights.read_bytes()
    assert cli.main(["priors", "measure", str(weights), "--data", str(weights.parent)]) == 0
    assert "images: limit" in capsys.readouterr().out
    assert weights.read_bytes() == before
    denoiser, card = load_denoiser(weights)
    assert denoiser.error is not None
    assert len(denoiser.error.factors[0]) == len(denoiser.error.activities) > 0
    assert card.novelty is not None


def test_notes_are_read_with_the_card_and_do_not_touch_the_weights(weights: Path) -> None:
    before, card = weights.read_bytes(), read_card(weights)
    file = write_notes(card, weights, intended="stars", limits=["small"], novelty=NOVELTY)
    assert file == notes_beside(weights) == weights.with_name("net.json")
    write_notes(card, weights, failures=["cells"], training={"hardware": "a core"})
    denoiser, found = load_denoiser(weights)
    assert weights.read_bytes() == before
    assert (found.intended, found.limits, found.failures) == ("stars", ["small"], ["cells"])
    assert found.training == {"steps": 3, "hardware": "a core"}
    assert denoiser.usual is not None
    assert (denoiser.usual.limit, denoiser.usual.error) == (4.0, (0.1, 0.2, 0.3))
    assert {path.name for path in weights.parent.iterdir()} == {"net.safetensors", "net.json"}


def test_notes_about_other_weights_are_passed_over_and_replaced(weights: Path) -> None:
    card = read_card(weights)
    notes_beside(weights).write_text(json.dumps({"sha256": "0" * 64, "intended": "faces"}))
    assert read_card(weights) == card
    assert load_denoiser(weights)[0].usual is None
    write_notes(card, weights, limits=["small"])
    assert json.loads(notes_beside(weights).read_text()) == {"sha256": card.sha256, "limits": ["small"]}


@pytest.mark.parametrize("text", ["{", "[]", "3", "{}", '{"sha256": "SHA", "role": "kernel"}'])
def test_damaged_notes_are_named(weights: Path, text: str) -> None:
    notes_beside(weights).write_text(text.replace("SHA", read_card(weights).sha256))
    with pytest.raises(PriorError, match=r"notes .*net\.json are damaged \(.*mend or remove"):
        read_card(weights)


@pytest.mark.parametrize(
    "usual",
    [{}, {"": {"error": [1, 2], "limit": 1, "false_alarms": 0, "images": 1}}, {"": {"error": [1, 2, 0]}}, 3],
)
def test_a_damaged_table_of_what_is_usual_is_named(weights: Path, usual: object) -> None:
    write_notes(read_card(weights), weights, novelty={"labels": usual} if usual else {})
    with pytest.raises(PriorError, match=r"what is usual in .* is damaged"):
        load_denoiser(weights)


@pytest.mark.parametrize("name", ["error", "limit", "false_alarms"])
def test_what_is_usual_is_a_number(weights: Path, name: str) -> None:
    sound = {"error": [1.0, 2.0, 3.0], "limit": 1.5, "false_alarms": 0.1, "images": 9}
    write_notes(read_card(weights), weights, novelty={"labels": {"": sound}})
    load_denoiser(weights)
    broken = {**sound, name: [1.0, math.nan, 3.0] if name == "error" else math.nan}
    write_notes(read_card(weights), weights, novelty={"labels": {"": broken}})
    with pytest.raises(PriorError, match=r"what is usual in .* is damaged"):
        load_denoiser(weights)


def test_notes_that_cannot_be_written_are_an_error(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_notes(read_card(weights), tmp_path / "nowhere" / "net.safetensors", limits=[])


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_network_has_notes_about_its_weights(name: str) -> None:
    """Fails after a training until the notes are written anew, for then they are about another network."""
    path, _ = find(name, shipped()[name].role)
    assert json.loads(notes_beside(path).read_text())["sha256"] == shipped()[name].sha256
    text = describe_card(name, shipped()[name])
    for title in ("intended for:", "training data:", "training:", "limits:", "known failures:"):
        assert title in text or (title == "known failures:" and not shipped()[name].failures)
    assert max(map(len, text.splitlines())) <= 100
    assert "not stated" not in text


def test_the_shipped_image_network_knows_what_is_usual_and_what_its_draws_lack() -> None:
    denoiser, card = load_prior("generic", "image")
    assert denoiser.usual is not None
    assert denoiser.novelty is not None
    assert set(denoiser.novelty.labels) == set(card.labels)
    for usual in denoiser.novelty.labels.values():
        assert usual.limit > 1
        assert usual.false_alarms < 0.2
    assert card.uncertainty is not None
    assert set(card.uncertainty) == {"blind", "known", "command"}
    assert SHIPPED["image"] in shipped()
