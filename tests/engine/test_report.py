"""The page on a result: what it says of one that is complete, of one that is not, and of hostile names."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from blinddps_sci import report
from blinddps_sci.engine.begin import begin_run
from blinddps_sci.engine.report import pictures
from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import InputError, OutputError


class Page(HTMLParser):
    """Headings, text and pictures of a page, and whatever it would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.captions: list[str] = []
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.text = path.read_text()
        self.headings = re.findall("<h2>(.*?)</h2>", self.text)
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.loaded += [values[name] for name in ("src", "href") if name in values]
        if tag == "img":
            self.captions.append(values["alt"])


def section(page: Page, heading: str) -> str:
    return page.text.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0]


def test_a_complete_result(small, scene, tmp_path: Path) -> None:
    data = scene(60, 150)
    data[3:5, 4] = np.nan
    fits.writeto(tmp_path / "in.fits", data)
    restore(tmp_path / "in.fits", tmp_path / "out.zarr", noise="gaussian:2", **small)
    page = Page(report(tmp_path / "out.zarr", tmp_path / "r.html"))
    assert page.headings == [
        "Status", "Image", "Point-spread function", "Chi-squared", "Flags", "Seams", "Timings", "Provenance",
    ]  # fmt: skip
    assert [caption.partition(": ")[2] or caption for caption in page.captions] == [
        "input, on the scale of the result", "restored, mean of the draws", "standard deviation of the draws",
        "Kernels", "Full width at half maximum", "Ellipticity", "Each tile",
    ]  # fmt: skip
    assert all(uri.startswith("data:image/png;base64,") for uri in page.loaded)
    assert not page.tags & {"script", "link", "iframe"}
    assert "complete: The run is complete." in section(page, "Status")
    assert "<th>masked_input</th><td>2 (" in section(page, "Flags")
    assert "<td>blend</td><td>3</td>" in section(page, "Timings")
    seams = re.findall(r"between (\w+)</th><td>([\d.]+) in", section(page, "Seams"))
    assert [kind for kind, _ in seams] == ["tiles", "units"]
    assert "&quot;noise&quot;: &quot;gaussian:2&quot;" in section(page, "Provenance")
    with pytest.raises(OutputError, match="exists"):
        report(tmp_path / "out.zarr", tmp_path / "r.html")
    (tmp_path / "in.fits").unlink()
    later = Page(report(tmp_path / "out.zarr", tmp_path / "r.html", overwrite=True))
    assert "The input cannot be opened any more." in later.text
    assert len(later.captions) == len(page.captions) - 1


def test_a_run_that_has_only_begun_says_what_is_missing(job_of, scene, tmp_path: Path) -> None:
    store = begin_run(job_of(scene(60, 150)), tmp_path / "<b>&.fits.zarr", source=scene(60, 150)).store
    page = Page(report(tmp_path / "<b>&.fits", tmp_path / "r.html"))
    assert "restore: 0 of 3 units" in section(page, "Status")
    for heading, missing in {
        "Image": "nothing has been restored yet",
        "Point-spread function": "No PSF is known yet.",
        "Chi-squared": "No tile has been restored yet.",
        "Seams": "No two tiles",
        "Timings": "No times are known",
    }.items():
        assert missing in section(page, heading)
    assert page.captions == []
    assert "b" not in page.tags
    assert "<h1>&lt;b&gt;&amp;.fits.zarr</h1>" in page.text
    assert store.status == "running"


def test_what_is_no_result_is_refused_and_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        report(tmp_path / "missing.zarr", tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_shown_between_percentiles_and_not_by_its_worst_pixel() -> None:
    image = np.random.default_rng(0).normal(100, 5, (200, 200))
    image[0, 0], image[1, 1] = 1e9, np.nan
    low, high = pictures.limits(image)
    assert 80 < low < 95
    assert 105 < high < 120
    assert pictures.limits(np.full((4, 4), np.nan)) == (0.0, 1.0)
