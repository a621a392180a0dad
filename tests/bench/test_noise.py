"""`bench noise`: the true noise is that of the frames, and the choice of `--noise auto` lies near it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from blinddps_sci import cli
from blinddps_sci.bench import noise
from blinddps_sci.bench.noise import DETECTORS, KINDS, Detector, run_noise, simulated, true_and_found
from blinddps_sci.errors import ConfigError


@pytest.mark.parametrize("kind", ["nebula", "natural"])
@pytest.mark.parametrize(
    "name", ["Gaussian, 1 %", "300 e-, read 5 e-", "3000 e-, read 5 e-, pedestal 500", "300 e-, interpolated"]
)
def test_the_true_noise_is_that_of_the_frame(kind: str, name: str) -> None:
    frame, flux, sigma = simulated(kind, DETECTORS[name], 3, 128)
    if name == "300 e-, interpolated":  # moves the frame too
        flux = DETECTORS[name].after(flux)
    assert ((frame - flux) / sigma).std() == pytest.approx(1, rel=0.1)
    again = simulated(kind, DETECTORS[name], 3, 128)[0]
    np.testing.assert_array_equal(frame, again)


@pytest.mark.parametrize("kind", KINDS)
def test_photon_noise_and_gain_are_found(kind: str) -> None:
    model, ratios = true_and_found(*simulated(kind, DETECTORS["300 e-, read 5 e-"], 11, 256))
    if kind != "lunar":  # whose brightness is much the same everywhere
        assert model.gain == pytest.approx(1, rel=0.35)
        assert model.kind == "poisson-gaussian"
    assert all(0.7 < ratio < 1.5 for ratio in ratios.values()), ratios


def test_tables_and_file(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(noise, "DETECTORS", {"Gaussian, 0.2 %": Detector(1.0, None, 0.002)})
    monkeypatch.setattr(noise, "KINDS", ("nebula", "nuclei"))
    file = tmp_path / "n.json"
    assert cli.main(["bench", "noise", "--cases", "2", "--size", "96", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "| Gaussian, 0.2 % | 4 |" in printed
    assert "JPEG of quality 80" in printed
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 4 + 4
    dark = [row["dark"] for row in rows if "dark" in row]
    assert f"{np.median(dark):.2f} (" in printed


@pytest.mark.parametrize("options", [{"count": 0}, {"size": 10}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(options) -> None:
    with pytest.raises(ConfigError, match="not negative"):
        run_noise(**options)
