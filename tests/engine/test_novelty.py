"""Data unlike the prior's training are told of before the run, and normal ones are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image, ImageDraw

from blinddps_sci import cli, restore
from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.job import prepare
from blinddps_sci.engine.novelty import Novelty, novelty_of
from blinddps_sci.errors import NoveltyWarning
from blinddps_sci.io import open_stack
from blinddps_sci.io.result import open_result
from blinddps_sci.priors.card import write_notes
from blinddps_sci.priors.store import read_card

SIDE, NOISE = 96, 0.01

Array = np.ndarray


def with_noise(scene: Array) -> Array:
    noise = np.random.default_rng(0).standard_normal(scene.shape)
    return (scene + NOISE * noise).astype(np.float32)


def text() -> Array:
    page = Image.new("L", (SIDE, SIDE), 255)
    for line in range(9):
        ImageDraw.Draw(page).text((2, 2 + 11 * line), "The quick brown fox"[line % 5 :], fill=0)
    return np.asarray(page) / 255


def checkerboard() -> Array:
    return (np.add.outer(np.arange(SIDE) // 4, np.arange(SIDE) // 4) % 2).astype(float)


def white() -> Array:
    return np.random.default_rng(1).standard_normal((SIDE, SIDE)).clip(-3, 3) / 6 + 0.5


def camera() -> Array:
    return skimage.data.camera()[:384, :384].reshape(192, 2, 192, 2).mean(axis=(1, 3)) / 255


def looked_at(data: Array, **options: object) -> Novelty | None:
    config = make_config({"noise": f"gaussian:{NOISE}", **options})
    return novelty_of(prepare(open_stack(data), config))


@pytest.mark.parametrize("make", [text, checkerboard, white])
def test_what_no_prior_has_seen_is_told(make: Callable[[], Array]) -> None:
    found = looked_at(with_noise(make()))
    assert found is not None
    assert found.score > found.limit
    assert found.unlike
    assert f"{found.score:.1f} times the usual" in found.sentence
    assert "\n" not in found.sentence


@pytest.mark.parametrize(
    ("label", "make"),
    [
        ("generic", lambda: camera()[40:136, 60:156]),
        ("astro", lambda: skimage.data.moon()[200:296, 200:296] / 255),
        ("micro", lambda: skimage.data.cell()[250:346, 250:346] / 255),
    ],
)
def test_a_normal_picture_is_not(label: str, make: Callable[[], Array]) -> None:
    found = looked_at(with_noise(make()), prior=label)
    assert found is not None
    assert not found.unlike
    assert found.as_dict["unlike"] is False


def test_nothing_but_noise_is_told_by_its_own_sentence() -> None:
    """Whose noise is measured from the data, white noise is a flat scene."""
    for data in (with_noise(np.zeros((SIDE, SIDE))), white().astype(np.float32)):
        found = looked_at(data, noise="auto")
        assert found is not None
        assert found.unlike
        assert "nothing above their noise" in found.sentence


def test_noise_too_high_to_tell_is_told_as_such() -> None:
    found = Novelty(score=float("nan"), limit=1.5, seen=True)
    assert not found.unlike
    assert "too high to tell" in found.sentence


def test_bad_pixels_the_unit_and_the_stretch_do_not_matter() -> None:
    scene = camera()[:SIDE, :SIDE]
    data = with_noise(scene)
    plain = looked_at(data)
    spoilt = data.copy()
    spoilt[::9, ::7] = np.nan
    for other in (looked_at(spoilt), looked_at(1e-12 * data, noise=f"gaussian:{1e-12 * NOISE}")):
        assert plain is not None
        assert other is not None
        assert other.score == pytest.approx(plain.score, rel=0.25)
        assert not other.unlike


def test_of_other_priors_nothing_is_known(networks: dict[str, str]) -> None:
    data = with_noise(camera())
    assert looked_at(data, prior="gaussian") is None
    assert looked_at(data, prior=networks["prior"]) is None
    burst = with_noise(np.stack([camera()[:64, :64]] * 3))
    assert looked_at(burst, model="turbulence", noise=f"gaussian:{NOISE}") is not None


@pytest.fixture
def strict(small: dict[str, object], tmp_path: Path) -> dict[str, object]:
    """Options of a second, with a network to which everything is new."""
    weights = tmp_path / "strict.safetensors"
    weights.write_bytes(Path(str(small["prior"])).read_bytes())
    usual = {"error": [1e-6] * 3, "limit": 2.0, "false_alarms": 0.0, "images": 10}
    write_notes(read_card(weights), weights, novelty={"labels": {"": usual}})
    return {**small, "prior": str(weights)}


def test_a_restoration_warns_and_keeps_what_was_found(strict, scene, tmp_path: Path) -> None:
    with pytest.warns(NoveltyWarning, match="look unlike the images that the prior was trained on"):
        restore(scene(32, 32), tmp_path / "out.zarr", **strict)
    kept = open_result(tmp_path / "out.zarr").attrs["novelty"]
    assert kept["unlike"] is True
    assert kept["score"] > kept["limit"] == 2.0
    assert "times the usual" in kept["sentence"]


def test_a_network_that_knows_the_data_says_nothing(small, scene, tmp_path: Path) -> None:
    restore(scene(32, 32), tmp_path / "out.zarr", **small)
    assert open_result(tmp_path / "out.zarr").attrs["novelty"] is None


def test_the_command_line_prints_one_line(strict, scene, tmp_path: Path, capsys) -> None:
    source = tmp_path / "in.tif"
    tifffile.imwrite(source, scene(32, 32))
    options = [f"--{name.replace('_', '-')}={value}" for name, value in strict.items()]
    assert cli.main(["restore", str(source), "-o", str(tmp_path / "o.zarr"), "--quiet", *options]) == 0
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert shown[0].startswith("blinddps: warning: the data look unlike the images")
