"""torchmfbd beside our bursts: compared where it is installed and its telescope is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blinddps_sci.bench import torchmfbd_method, turbulence
from blinddps_sci.bench.bursts import BurstCase, simulated_cases
from blinddps_sci.bench.torchmfbd_method import has_torchmfbd, torchmfbd_restored
from blinddps_sci.bench.turbulence import score_burst


@pytest.fixture(scope="module")
def case() -> BurstCase:
    return next(simulated_cases(96, 6, 0))


def test_it_is_left_out_where_it_cannot_run(case: BurstCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchmfbd_method, "find_spec", lambda name: None)
    assert not has_torchmfbd()
    monkeypatch.setattr(turbulence, "has_torchmfbd", lambda: True)
    assert len(turbulence._peers(case)) == len(turbulence._SIMPLE) + 1
    case = BurstCase("", case.frames, case.truth, case.psfs, case.node_y, case.node_x)
    assert turbulence._peers(case) == turbulence._SIMPLE


@pytest.mark.filterwarnings("default")
def test_it_is_sharper_than_the_mean(
    case: BurstCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchmfbd")
    monkeypatch.chdir(tmp_path)
    scene = torchmfbd_restored(case.frames, case.telescope)
    assert scene.shape == case.truth.shape
    mean = score_burst(case.frames.mean(axis=0), case.truth, 16)
    assert score_burst(scene, case.truth, 16)["ssim"] > mean["ssim"]
    np.testing.assert_allclose(scene.mean(), case.frames.mean(), rtol=0.05)
    assert list(tmp_path.iterdir()) == []
