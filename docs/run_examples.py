"""Run the examples of the gallery and keep what they print and draw: `make gallery`.

Each runs in a folder of its own. Its picture, its output and a digest go to examples/pictures, from which the
pages are made; an example is passed over if neither its code nor what decides an answer has changed since.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import json
import os
import runpy
import tempfile
import time
from contextlib import chdir, redirect_stdout
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image

__all__ = ["GalleryOrder"]

EXAMPLES = Path(__file__).parent / "examples"
PICTURES = EXAMPLES / "pictures"
RECORD = PICTURES / "made.json"
LARGEST = 100_000
"""Bytes of a picture."""

ORDER = (
    "deep_field", "microscopy", "burst", "known_psf", "varying_psf", "bad_pixels",
    "noise", "priors", "uncertainty", "resume", "sampler",
)  # fmt: skip
"""The examples as the gallery shows them."""


class GalleryOrder:
    """Sort key of sphinx-gallery: the examples in `ORDER`."""

    def __init__(self, folder: str) -> None:
        pass

    def __call__(self, file: str) -> int:
        """Return the place of an example."""
        return ORDER.index(Path(file).stem)


@cache
def decides() -> bytes:
    """Return a digest of what decides an answer: the algorithm, the networks, and the factors of ``std``."""
    from blinddps_sci.engine.job import ALGORITHM
    from blinddps_sci.priors.registry import shipped

    cards = {name: (card.sha256, card.uncertainty) for name, card in shipped().items()}
    return hashlib.sha256(json.dumps([ALGORITHM, cards], sort_keys=True).encode()).digest()


def digest(name: str) -> str:
    """Return a digest of an example's code, in which prose does not count, and of what decides its answer."""
    body = ast.parse((EXAMPLES / f"{name}.py").read_text()).body
    code = ast.dump(ast.Module(body[1:], [])).encode()
    return hashlib.sha256(code + decides()).hexdigest()[:16]


def record() -> dict[str, str]:
    """Return the digests of the examples as they were when they ran."""
    return dict(json.loads(RECORD.read_text())) if RECORD.exists() else {}


def shrink(picture: Path) -> None:
    """Take as many colours from a picture as it needs to be small."""
    image = Image.open(picture).convert("RGB")
    for colours in (256, 128, 64, 32):
        image.quantize(colours, kmeans=3, dither=Image.Dither.NONE).save(picture, optimize=True)
        if picture.stat().st_size < LARGEST:
            return


def run(name: str) -> None:
    """Run one example; keep its output and its picture."""
    from matplotlib import pyplot

    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(printed):
        runpy.run_path(str(EXAMPLES / f"{name}.py"))
    (PICTURES / f"{name}.txt").write_text(printed.getvalue())
    pyplot.savefig(PICTURES / f"{name}.png", dpi=72)
    pyplot.close("all")
    shrink(PICTURES / f"{name}.png")
    RECORD.write_text(json.dumps({**record(), name: digest(name)}, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Run the examples that are named, or all whose code has changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"out of {', '.join(ORDER)}")
    given = parser.parse_args()
    # Threads that spin while they wait make torch many times slower on a machine that is shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    matplotlib.use("Agg")
    for name in given.names or [name for name in ORDER if record().get(name) != digest(name)]:
        start = time.monotonic()
        run(name)
        size = (PICTURES / f"{name}.png").stat().st_size // 1024
        print(f"{name}: {time.monotonic() - start:.0f} s, picture of {size} kB", flush=True)


if __name__ == "__main__":
    main()
