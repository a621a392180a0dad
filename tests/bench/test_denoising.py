"""`bench denoising`: every method denoises, the prior is its estimate alone, and the table says what wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import camera
from skimage.transform import rescale

from blinddps_sci import cli
from blinddps_sci.bench import denoising, denoising_classical
from blinddps_sci.bench.cases import DOMAINS
from blinddps_sci.bench.denoising import Noisy, run_denoising, tune_classical, tweedie
from blinddps_sci.bench.denoising_classical import (
    CANDIDATES,
    METHODS,
    SIGMAS,
    TUNED,
)
from blinddps_sci.bench.denoising_table import format_denoising, format_tuned, summarise_denoising
from blinddps_sci.errors import ConfigError, OutputError
from blinddps_sci.priors.registry import load_prior

pytest.importorskip("pywt")

SIZE = 80


def noisy(sigma: float, domain: str = "generic") -> Noisy:
    """Return a part of a picture with noise."""
    picture = rescale(camera() / 255, 0.5, anti_aliasing=True).astype(np.float32)
    truth = picture[20 : 20 + SIZE, 80 : 80 + SIZE]
    data = truth + sigma * np.random.default_rng(0).standard_normal(truth.shape)
    return Noisy(0, "camera", domain, sigma, truth, data.astype(np.float32))


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("method", METHODS)
def test_classical_methods_denoise(method: str, sigma: float) -> None:
    case = noisy(sigma)
    found = TUNED[case.domain, sigma][method](case.data, sigma)
    assert found.shape == case.truth.shape
    assert case.score(found) > case.score(case.data) + 3


def test_every_domain_and_level_has_parameters_that_could_be_chosen() -> None:
    assert set(TUNED) == {(domain, sigma) for domain in DOMAINS for sigma in SIGMAS}
    for chosen in TUNED.values():
        assert tuple(chosen) == METHODS
        assert all(chosen[name] in CANDIDATES[name] for name in METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_the_strengths_that_are_chosen_are_not_at_an_end(name: str) -> None:
    """More or less of them would not be better."""
    strengths = [each.strength for each in CANDIDATES[name]]
    for place, chosen in TUNED.items():
        assert min(strengths) < chosen[name].strength < max(strengths), place


def test_the_prior_is_its_estimate_alone() -> None:
    """One evaluation on the network's domain of [-1, 1], where the noise has twice the deviation."""
    asked: list[tuple[torch.Tensor, ...]] = []

    class Network:
        labels = ("astro", "micro")

        def __call__(self, x: torch.Tensor, sigma: torch.Tensor, label: Any) -> torch.Tensor:
            asked.append((x, sigma, label))
            return x / 2

    case = noisy(0.25, "micro")
    found = tweedie(Network(), case)
    ((x, sigma, label),) = asked
    np.testing.assert_allclose(x[0, 0], 2 * case.data - 1, rtol=1e-6)
    assert (sigma.tolist(), label.tolist()) == ([0.5], [1])
    np.testing.assert_allclose(found, (case.data - 0.5) / 2 + 0.5, atol=1e-6)
    tweedie(Network(), noisy(0.25))
    assert asked[-1][2] is None


def test_the_shipped_prior_denoises() -> None:
    network = load_prior("shipped", "image")[0]
    for sigma in SIGMAS:
        case = noisy(sigma)
        best = max(case.score(TUNED[case.domain, sigma][name](case.data, sigma)) for name in METHODS)
        assert case.score(tweedie(network, case)) > best


def test_the_best_parameters_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising, "CANDIDATES", dict.fromkeys(METHODS, CANDIDATES["total variation"][::3]))
    planes = [("micro", noisy(0).truth), ("astro", noisy(0).truth[::-1])]
    chosen = tune_classical(planes, None, count=2, size=SIZE)
    assert set(chosen) == {(domain, sigma) for domain in ("astro", "micro") for sigma in SIGMAS}
    strengths = [chosen["micro", sigma]["total variation"].strength for sigma in SIGMAS]
    assert strengths[0] < strengths[-1]
    text = format_tuned(chosen)
    names = {**vars(denoising_classical)}
    exec(text, names)
    assert names["TUNED"] == chosen


def test_rows_are_gone_on_from_and_pictures_drawn(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {place: dict.fromkeys(METHODS, chosen["total variation"]) for place, chosen in TUNED.items()}
    monkeypatch.setattr(denoising, "TUNED", quick)
    options: dict[str, Any] = {"data": pictures, "size": SIZE, "json": tmp_path / "d.json"}
    rows = run_denoising(**options, count=3)
    assert [(row["case"], row["sigma"]) for row in rows] == [(n, s) for n in range(3) for s in SIGMAS]
    assert {row["domain"] for row in rows} == set(DOMAINS)
    with pytest.raises(OutputError, match="--resume"):
        run_denoising(**options, count=3)
    with pytest.raises(ConfigError, match="made with seed"):
        run_denoising(**options, count=3, seed=1, resume=True)
    more = run_denoising(**options, count=4, resume=True, pictures=tmp_path / "shown")
    assert more[:9] == rows
    assert json.loads((tmp_path / "d.json").read_text())["rows"] == more
    assert sorted(path.name for path in (tmp_path / "shown").iterdir()) == [
        f"denoising-{domain}.png" for domain in sorted(DOMAINS)
    ]


def test_the_table_says_by_how_much_the_prior_is_above_the_best() -> None:
    def row(case: int, domain: str, prior: float) -> dict[str, Any]:
        scores = {"noisy": 20.0, "prior": prior, **dict(zip(METHODS, (25.0, 26.0 + case, 24.0), strict=True))}
        return {"case": case, "domain": domain, "sigma": 0.1, "psnr": scores}

    rows = [row(0, "astro", 29.0), row(1, "astro", 28.0), row(2, "micro", 29.0)]
    astro, micro, every = summarise_denoising(rows)
    assert (astro["best"], astro["gain"], astro["least"]) == ("total variation", 2.0, 1.0)
    assert micro["gain"] == 1.0
    assert (every["domain"], every["images"]) == ("all", 3)
    text = format_denoising(rows)
    assert "| astro | 0.1 | 2 | 20.00 | 28.50 | 25.00 | **26.50** | 24.00 | +2.00 | +1.00 |" in text
    assert text.endswith("missed: micro at 0.1: +1.00 dB")
    assert format_denoising(rows[:2]).endswith("missed: nowhere")


def test_what_is_reported_on_is_not_tuned_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "denoising", "--tune"]) == 1
    assert "--tune needs --held-out" in capsys.readouterr().err
    assert cli.main(["bench", "denoising", "--images", "0"]) == 1
    assert "images 0" in capsys.readouterr().err
