"""Methods: names are checked, each gives what it says, and the published rules are those published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from blinddps_sci.bench import QUALITY_METHODS, SPEED_METHODS, methods
from blinddps_sci.bench.cases import Case, cases
from blinddps_sci.bench.methods import Overrides, parse_methods, published, run_method
from blinddps_sci.engine import scene
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.sampling.dps import Dps

TINY = Overrides(steps=2, chains=1, samples=2)


@pytest.fixture
def case(pictures: Path) -> Case:
    return next(cases(pictures, 1, 64, 0))


def test_names_are_read_once_each_in_order() -> None:
    assert parse_methods(" split, blurred,split ,dps-250-constant,dps-100") == (
        "split",
        "blurred",
        "dps-250-constant",
        "dps-100",
    )
    assert parse_methods("split-12-2-2,split-true-psf") == ("split-12-2-2", "split-true-psf")
    assert len(parse_methods(QUALITY_METHODS)) == 6
    assert len(parse_methods(SPEED_METHODS)) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "magic",
        "dps",
        "dps-0-sqrt",
        "dps-10-linear",
        "blurred,Split",
        "split-25",
        "split-25-3",
        "split-09-1-1",
        "richardson-lucy-0",
    ],
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown method"):
        parse_methods(text)


@pytest.mark.parametrize(
    ("name", "option"),
    [("split-1-3-4", "steps"), ("split-25-0-4", "chains"), ("split-25-3-2000", "samples")],
)
def test_a_schedule_out_of_range_is_refused(name: str, option: str) -> None:
    with pytest.raises(ConfigError, match=f"method '{name}': {option}: Input should be"):
        parse_methods(f"split,{name}")


def test_the_error_lists_the_forms() -> None:
    forms = r"split-S-C-N, dps-S, .*richardson-lucy-N.*S: steps, C: chains, N: samples or iterations"
    with pytest.raises(ConfigError, match=forms):
        parse_methods("split-a-b-c")


def test_the_presets_are_the_options_of_restore(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def stop(case: Case, seed: int, **options: object) -> None:
        if "psf_file" in options:
            np.testing.assert_array_equal(np.load(options.pop("psf_file")), case.kernel)
            options["known"] = True
        seen.append(options)

    monkeypatch.setattr(methods, "_restored", stop)
    for name in (
        "split",
        "split-fast",
        "split-best",
        "split-true-psf",
        "dps-77",
        "split-12-2-3",
        "split-9-1-2-bfloat16",
    ):
        run_method(name, case, Overrides(steps=9), 0)
    assert seen == [
        {"quality": "default", "steps": 9},
        {"quality": "fast", "steps": 9},
        {"quality": "best", "steps": 9},
        {"quality": "default", "known": True, "steps": 9},
        {"sampler": "dps", "steps": 77, "chains": 1, "samples": 1},
        {"steps": 12, "chains": 2, "samples": 3},
        {"steps": 9, "chains": 1, "samples": 2, "precision": "bfloat16"},
    ]


def test_classical_methods_say_how_they_fit(case: Case) -> None:
    for name in ("richardson-lucy", "wiener", "blind-rl"):
        found = run_method(name, case, Overrides(), 0)
        assert (found.kernel is not None) == (name == "blind-rl")
        assert found.image.shape == case.data.shape
        assert 0 < found.chi2 < 100
    assert run_method("blurred", case, Overrides(), 0).image is case.data


def test_richardson_lucy_has_the_iterations_of_its_name(case: Case) -> None:
    assert parse_methods("richardson-lucy-7") == ("richardson-lucy-7",)
    plain, same, few = (
        run_method(f"richardson-lucy{end}", case, Overrides(), 0) for end in ("", "-30", "-2")
    )
    np.testing.assert_array_equal(plain.image, same.image)
    assert few.chi2 > plain.chi2
    assert few.kernel is None


def test_the_published_rules_have_the_limits_of_the_engine(case: Case, monkeypatch) -> None:
    class Seen(Exception):
        pass

    def stop(*positional: object, **options: object) -> None:
        raise Seen(positional[3]["image"].clamp)

    monkeypatch.setattr(methods, "sample", stop)
    with pytest.raises(Seen) as raised:
        published(case, 2, "sqrt", 0)
    assert raised.value.args[0] is scene.HEADROOM


@pytest.mark.slow
def test_samplers_give_kernel_and_spread_where_they_have_them(case: Case) -> None:
    blind, known = (run_method(name, case, TINY, 0) for name in ("split", "split-true-psf"))
    assert blind.kernel.shape == case.kernel.shape
    assert known.kernel is None
    for found in (blind, known):
        assert found.draws == 2
        assert (found.std > 0).all()
    assert run_method("split-fast", case, Overrides(2, 1, 1), 0).std is None
    assert run_method("split-2-1-2", case, Overrides(), 0).draws == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rule", "weight"), [("sqrt", "sqrt-abar", 1.0), ("constant", "constant", 0.3)]
)
def test_a_published_rule_is_run_unbounded(case: Case, monkeypatch, name, rule, weight) -> None:
    made = []

    def record(**options: object) -> Dps:
        made.append(options)
        return Dps(**options)

    monkeypatch.setattr(methods, "Dps", record)
    steps = []
    found = published(case, 2, name, 0, lambda progress: steps.append(progress.step))
    assert steps == [1, 2]
    assert (made[0]["rule"], made[0]["weight"], made[0]["bounded"]) == (rule, weight, False)
    assert found.image.shape == case.data.shape
    assert found.kernel.sum() == pytest.approx(1, abs=1e-4)
    assert found.std is None
    assert np.isfinite(found.chi2)


@pytest.mark.slow
def test_a_chain_that_diverges_is_an_error(case: Case, monkeypatch) -> None:
    monkeypatch.setattr(methods, "Gaussian", lambda noise: _Broken())
    with pytest.raises(InputError, match="finite"):
        published(case, 2, "sqrt", 0)


class _Broken:
    """A likelihood whose residual is not a number."""

    def residual(self, predicted: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
        return (predicted - data) * torch.nan

    def noise_level(self, data: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(data))

    def count(self, data: torch.Tensor) -> torch.Tensor:
        return torch.full((len(data),), data[0].numel())

    def active(self, predicted: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(data, dtype=torch.bool)
