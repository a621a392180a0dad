"""`bench speed`: the networks' time is theirs alone, and extrapolated times are marked as such."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from torch import nn

from blinddps_sci.bench import speed
from blinddps_sci.bench.methods import Outcome
from blinddps_sci.bench.speed import network_time, run_speed
from blinddps_sci.errors import ConfigError, OutputError
from blinddps_sci.priors.registry import load_prior


class Slow(nn.Module):
    """Sleeps instead of computing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return x


def test_only_the_networks_are_timed_and_only_inside() -> None:
    network, other, x = Slow(), Slow(), torch.zeros(1)
    with network_time(network) as clock:
        network(x)
        other(x)
        network(x)
    network(x)
    assert 0.1 <= clock.seconds < 0.15


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that call the image network's hooks for a while and sleep as long."""
    network = Slow()
    monkeypatch.setattr(
        speed, "load_prior", lambda name, role: (network if role == "image" else Slow(), None)
    )

    def run(name, case, overrides, seed) -> Outcome:
        network(torch.zeros(1))
        time.sleep(0.05)
        return Outcome(case.data)

    def rule(case, steps, name, seed, callback) -> None:
        assert name == "sqrt"
        for _ in range(steps):
            time.sleep(0.002)
            callback(None)

    monkeypatch.setattr(speed, "run_method", run)
    monkeypatch.setattr(speed, "published", rule)


def test_the_table_has_share_cost_and_throughput(quick: None, tmp_path) -> None:
    text = run_speed(methods="split,wiener,dps-1000-sqrt", size=64, json=tmp_path / "s.json")
    split, wiener, dps = json.loads((tmp_path / "s.json").read_text())["rows"]
    assert split["share"] == pytest.approx(0.5, abs=0.15)
    assert wiener["share"] is None
    assert split["megapixels_per_minute"] == pytest.approx(64 * 64 * 60e-6 / split["seconds"])
    assert split["peak_mib"] > 10
    assert (split["how"], dps["how"]) == ("measured", "extrapolated from 30 steps")
    # 1000 steps of 2 ms and more
    assert 2 <= dps["seconds"] < 6
    assert "target 85%: missed" in text
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 5


def test_one_thread_is_measured_and_the_others_are_there_again(quick: None, monkeypatch) -> None:
    run, seen = speed.run_method, set()

    def watch(*given: object) -> Outcome:
        seen.add(torch.get_num_threads())
        return run(*given)

    monkeypatch.setattr(speed, "run_method", watch)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert "one thread" in run_speed(methods="wiener", size=64)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert seen == {1}


def test_memory_that_is_given_back_is_seen_at_its_peak() -> None:
    with speed._Memory() as memory:
        block = np.ones(2**24)
        time.sleep(0.2)
        del block
    assert memory.peak - memory.before > 100 * 2**20


def test_bad_options_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="size 64 to 4096"):
        run_speed(size=0)
    with pytest.raises(ConfigError, match="unknown method"):
        run_speed(methods="warp")
    with pytest.raises(OutputError, match="does not exist"):
        run_speed(json=tmp_path / "missing" / "s.json")


@pytest.mark.slow
def test_the_hooks_see_the_networks_of_a_restoration() -> None:
    text = run_speed(methods="split", size=64, steps=2, chains=1, samples=1)
    share = float(text.rpartition("split: ")[2].partition("%")[0])
    assert 1 < share < 99
    assert not load_prior("astro", "image")[0]._forward_hooks
