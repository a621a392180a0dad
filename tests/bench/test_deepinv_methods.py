"""Methods of deepinv: names and errors without it, restorations with it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from blinddps_sci.bench import deepinv_methods, extras
from blinddps_sci.bench.cases import Case, cases
from blinddps_sci.bench.deepinv_methods import _load, _Network, deepinv_restored, parse_deepinv
from blinddps_sci.bench.methods import Overrides, parse_methods, run_method
from blinddps_sci.bench.score import score_image
from blinddps_sci.errors import ConfigError, InputError

needs_deepinv = pytest.mark.skipif(find_spec("deepinv") is None, reason="deepinv is not installed")


@pytest.fixture
def case(pictures: Path) -> Case:
    return next(cases(pictures, 1, 64, 0))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make deepinv look installed."""
    monkeypatch.setattr(extras, "find_spec", lambda name: ModuleSpec(name, None))


def test_names_say_sampler_and_steps(installed: None) -> None:
    assert parse_deepinv("deepinv-dps-1000") == ("dps", 1000)
    assert parse_deepinv("deepinv-diffpir-2") == ("diffpir", 2)
    assert parse_methods("deepinv-diffpir-100,blurred") == ("deepinv-diffpir-100", "blurred")


@pytest.mark.parametrize("name", ["deepinv", "deepinv-dps", "deepinv-dps-1", "deepinv-ddrm-20", "dps-20"])
def test_other_names_are_not_its(name: str) -> None:
    assert parse_deepinv(name) is None


def test_a_missing_library_is_one_clear_line(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepinv", None)
    for name in ("deepinv-dps-20", "deepinv-diffpir-20"):
        with pytest.raises(ConfigError, match=r"not installed; run pip install 'blinddps-sci\[bench\]'"):
            parse_methods(name)
        with pytest.raises(ConfigError, match="not installed"):
            run_method(name, case, Overrides(), 0)
    assert parse_methods("blurred,wiener") == ("blurred", "wiener")


@pytest.mark.parametrize("error", [ImportError("no einops"), RuntimeError("of another kind")])
def test_a_library_that_cannot_be_imported_says_why(
    installed: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(deepinv_methods, "import_module", fail)
    with pytest.raises(ConfigError, match=f"cannot be imported .{error}"):
        _load()


def test_a_torchvision_without_compiled_operators_is_enough(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[str] = []

    def load(name: str) -> str:
        if not declared:
            raise RuntimeError("operator torchvision::nms does not exist")
        return name

    monkeypatch.setattr(deepinv_methods, "import_module", load)
    monkeypatch.setattr(torch.library, "define", lambda name, signature: declared.append(name))
    assert _load() == "deepinv"
    assert declared == ["torchvision::nms", "torchvision::qnms"]


def test_the_network_is_on_the_scale_of_0_to_1() -> None:
    seen = []

    def prior(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append((x, sigma))
        return x / 2

    x = torch.rand(2, 1, 4, 4)
    for sigma in (0.1, torch.tensor(0.1), torch.tensor([0.1]), torch.full((2, 1, 1, 1), 0.1)):
        torch.testing.assert_close(_Network(prior)(x, sigma), (x + 0.5) / 2)
        torch.testing.assert_close(seen[-1], (2 * x - 1, torch.full((2,), 0.2)))


def test_nothing_is_imported_before_it_is_needed() -> None:
    if "deepinv" not in sys.modules:
        parse_methods("blurred")
        assert "deepinv" not in sys.modules


@needs_deepinv
@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "steps"), [("diffpir", 20), ("dps", 60)])
def test_its_samplers_restore(case: Case, sampler: str, steps: int) -> None:
    found = run_method(f"deepinv-{sampler}-{steps}", case, Overrides(), 0)
    assert found.image.shape == case.data.shape
    assert found.image.dtype == np.float32
    assert found.kernel is None
    assert found.chi2 is not None
    assert found.chi2 < 10
    assert score_image(found.image, case.truth)["psnr"] > score_image(case.data, case.truth)["psnr"] + 2


@needs_deepinv
@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["diffpir", "dps"])
def test_a_seed_fixes_the_draw(case: Case, sampler: str) -> None:
    first = deepinv_restored(sampler, 3, case, 0)
    state = torch.random.get_rng_state()
    again, other = (deepinv_restored(sampler, 3, case, seed) for seed in (0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@needs_deepinv
def test_a_chain_that_diverges_is_an_error(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Network, "forward", lambda self, x, sigma: x * torch.nan)
    with pytest.raises(InputError, match="finite"):
        deepinv_restored("diffpir", 2, case, 0)
