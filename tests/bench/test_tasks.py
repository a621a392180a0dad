"""`bench tasks`: problems are what they say, every method has its row, and the table says who wins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import camera
from skimage.transform import rescale

from blinddps_sci import cli
from blinddps_sci.bench import TASK_NAMES, tasks, tasks_methods
from blinddps_sci.bench.methods import Outcome
from blinddps_sci.bench.tasks import parse_tasks, run_tasks, score_task
from blinddps_sci.bench.tasks_classical import hybrid_input_output
from blinddps_sci.bench.tasks_list import TASKS, Task
from blinddps_sci.bench.tasks_methods import Classical, Drawn, DrawnBlind, Restored
from blinddps_sci.bench.tasks_problems import POSES, Problem
from blinddps_sci.bench.tasks_table import format_tasks, summarise_tasks
from blinddps_sci.errors import ConfigError, InputError, OutputError
from blinddps_sci.metrics import psnr
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.posterior import Posterior
from blinddps_sci.sampling.split import Split

SIZE = 56
KNOWN = [name for name in TASK_NAMES if not name.startswith("blind") and name != "turbulence"]


def posed(name: str, seed: int = 0, size: int = SIZE) -> Problem:
    """Return a task on a part of a picture."""
    margin, pose = POSES[name]
    side = size + 2 * margin
    picture = rescale(camera() / 255, 0.5, anti_aliasing=True).astype(np.float32)
    return pose(picture[20 : 20 + side, 60 : 60 + side], np.random.default_rng(seed))


def test_the_command_line_names_every_task_in_the_order_of_the_table() -> None:
    assert tuple(TASKS) == tuple(POSES) == TASK_NAMES


@pytest.mark.parametrize("name", KNOWN)
def test_the_truth_explains_the_data_within_their_noise(name: str) -> None:
    problem = posed(name, size=64)
    assert problem.truth.shape == (64, 64)
    assert problem.operator.inputs == ("image",)
    inner = problem.truth
    # The scene about the truth is not kept: data near the border depend on it.
    canvas = np.pad(inner, problem.margin, mode="reflect")
    predicted = problem.operator.forward({"image": torch.from_numpy(canvas)[None, None]})
    residual = problem.likelihood.residual(predicted, problem.data)[0, 0]
    edge = problem.margin * residual.shape[-1] // 64
    part = residual[edge : residual.shape[-2] - edge, edge : residual.shape[-1] - edge]
    measured = part[part != 0]
    assert measured.std() == pytest.approx(1, abs=0.15)
    assert abs(measured.mean()) < 0.2


def test_holes_are_as_large_as_said() -> None:
    box = torch.isnan(posed("box-inpainting", size=64).data)
    assert box.sum() == 32**2
    rows = box[0, 0].any(dim=1).nonzero().flatten()
    assert rows[-1] - rows[0] == 31
    assert 4 <= rows[0] <= 28
    missing = torch.isnan(posed("random-inpainting", size=64).data).float().mean()
    assert missing == pytest.approx(0.92, abs=0.015)


def test_blind_problems_leave_their_kernel_open() -> None:
    for name in ("blind-deblurring", "blind-super-resolution"):
        problem = posed(name)
        assert problem.operator.inputs == ("image", "kernel")
        assert problem.kernel is not None
        assert problem.kernel.sum() == pytest.approx(1, abs=1e-3)
    assert posed("blind-super-resolution").data.shape == (1, 1, SIZE // 2, SIZE // 2)


def test_a_burst_has_frames_of_the_truths_size() -> None:
    problem = posed("turbulence", size=48)
    assert problem.data.shape == (1, 8, 48, 48)
    assert problem.truth.shape == (48, 48)
    # One scene: frames differ from it by more than their noise, and are about as bright.
    rest = problem.data[0].numpy() - problem.truth
    assert 0.02 < rest.std() < problem.truth.std()
    assert problem.data.mean() == pytest.approx(problem.truth.mean(), abs=0.02)


@pytest.mark.parametrize(
    ("task", "method"),
    [
        (task, method)
        for task in TASKS
        for method, way in TASKS[task].methods.items()
        if isinstance(way, Classical) and task != "phase-retrieval"  # which has a test of its own
    ],
)
def test_classical_methods_are_not_made_of_straw(task: str, method: str) -> None:
    problem = posed(task, size=64)
    found = TASKS[task].methods[method](problem, 0, None)
    assert found.image.shape == problem.truth.shape
    score = score_task(TASKS[task], problem, found)
    flat = psnr(np.full_like(problem.truth, problem.truth.mean()), problem.truth, 1.0)
    assert score["psnr"] > flat + 3


def test_hybrid_input_output_finds_an_image_with_a_dark_rim_from_exact_magnitudes() -> None:
    problem = posed("phase-retrieval", size=24)
    scene = np.zeros_like(problem.truth)
    scene[4:18, 5:20] = problem.truth[4:18, 5:20]
    data = problem.operator.forward({"image": torch.from_numpy(scene)[None, None]})
    found = hybrid_input_output(replace(problem, truth=scene, data=data), 0, iterations=300)
    misfit = np.abs(np.fft.fft2(found, s=(48, 48), norm="ortho")) - data[0, 0].numpy()
    assert np.sqrt(np.mean(misfit**2)) < 0.02


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("sampler", [Split(2), Dps(2, unit=0.5)], ids=["split", "dps"])
def test_both_samplers_take_every_known_operator(name: str, sampler: Any) -> None:
    seen = []
    found = Drawn(sampler, samples=2, best=name == "phase-retrieval")(posed(name), 0, seen.append)
    assert found.image.shape == (SIZE, SIZE)
    assert np.isfinite(found.image).all()
    assert len(seen) == 2


def test_more_data_than_prior_is_restored_by_split() -> None:
    problem = posed("gaussian-deblurring")
    found = Drawn(Split(8), samples=2)(problem, 0)
    assert psnr(found.image, problem.truth, 1.0) > psnr(problem.data[0, 0].numpy(), problem.truth, 1.0) + 1
    assert found.chi2 == pytest.approx(1, abs=0.3)


def test_a_blind_chain_finds_a_kernel_and_an_image() -> None:
    problem = posed("blind-super-resolution")
    found = DrawnBlind(Drawn(Split(4), samples=2), 32, chains=2)(problem, 0)
    assert found.image.shape == (SIZE, SIZE)
    assert found.kernel.shape == (32, 32)
    assert found.kernel.sum() == pytest.approx(1, abs=1e-4)
    assert (found.kernel >= 0).all()


def test_restore_is_called_as_a_user_does() -> None:
    seen: list[Any] = []
    options = {"psf_size": 32, "steps": 2, "chains": 1, "samples": 1, "kernel_prior": "uniform"}
    problem = posed("blind-deblurring")
    found = Restored(options)(problem, 0, seen.append)
    assert found.image.shape == (SIZE, SIZE)
    assert found.kernel.shape == (32, 32)
    assert {"image"} <= set(seen[0].estimates)
    assert 0 < score_task(TASKS["blind-deblurring"], problem, found)["mnc"] <= 1


def test_a_turn_and_a_shift_count_only_where_they_cannot_be_known() -> None:
    problem = posed("phase-retrieval", size=64)
    turned = Outcome(problem.truth[::-1, ::-1].copy())
    assert score_task(Task({}, turned=True), problem, turned)["psnr"] > 100
    assert score_task(Task({}), problem, turned)["psnr"] < 30
    moved = Outcome(np.roll(problem.truth, (2, -3), (0, 1)))
    assert score_task(Task({}, shifted=True), problem, moved)["psnr"] > 60
    both = Outcome(np.roll(problem.truth, (5, -7), (0, 1))[::-1, ::-1].copy())
    assert score_task(Task({}, turned=True), problem, both)["psnr"] > 60
    assert score_task(Task({}, shifted=True), problem, both)["psnr"] < 30
    assert score_task(Task({}), problem, moved)["psnr"] < 30


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the methods of one task by ones that mix truth and data; return the list of their calls."""
    calls: list[str] = []

    def way(name: str, share: float) -> Any:
        def solve(problem: Problem, seed: int, callback: Any = None) -> Outcome:
            calls.append(name)
            if callback is not None:
                Drawn(Split(3), samples=1)(problem, seed, callback)
            known = np.nan_to_num(problem.data[0, 0].numpy(), nan=0.5)
            return Outcome(share * problem.truth + (1 - share) * known, chi2=1.0)

        return solve

    class Simple(Classical):
        def __call__(self, problem: Problem, seed: int, callback: Any = None) -> Outcome:
            return way("simple", 0.5)(problem, seed)

    methods = {"split": way("split", 0.9), "dps": way("dps", 0.1), "simple": Simple(lambda *_: None)}
    monkeypatch.setitem(tasks.TASKS, "box-inpainting", Task(methods))
    return calls


def test_a_row_for_every_image_and_method_and_a_verdict(quick: list[str], pictures: Path) -> None:
    rows = run_tasks(tasks="box-inpainting", data=pictures, count=3, size=SIZE)
    assert [(row["case"], row["method"]) for row in rows] == [
        (case, method) for case in range(3) for method in ("split", "dps", "simple")
    ]
    found = {row["method"]: row for row in summarise_tasks(rows)}
    assert (found["split"]["verdict"], found["dps"]["verdict"]) == ("wins", "loses")
    assert (found["split"]["better"], found["dps"]["better"], found["split"]["of"]) == (3, 0, 3)
    assert "verdict" not in found["simple"]
    table = format_tasks(rows)
    assert "| box-inpainting | split |" in table
    assert "wins (+" in table
    assert "loses (-" in table
    # The same images whatever else is asked for.
    again = run_tasks(tasks="box-inpainting", data=pictures, count=1, size=SIZE)
    assert [row["psnr"] for row in again] == [row["psnr"] for row in rows if row["case"] == 0]


def test_a_split_verdict_says_which_figure_is_higher() -> None:
    row = {"task": "t", "case": 0, "chi2": None, "mnc": None, "seconds": 1.0}
    rows = [
        row | {"method": "sharp", "classical": False, "psnr": 20.0, "ssim": 0.9},
        row | {"method": "smooth", "classical": False, "psnr": 24.0, "ssim": 0.2},
        row | {"method": "a", "classical": True, "psnr": 22.0, "ssim": 0.3},
        row | {"method": "b", "classical": True, "psnr": 21.0, "ssim": 0.5},
    ]
    verdicts = [found.get("verdict") for found in summarise_tasks(rows)]
    assert verdicts == ["SSIM only", "PSNR only", None, None]
    # Another image, on which only classical methods were run, does not count.
    more = [{**rows[2], "case": 1, "psnr": 40.0}, {**rows[3], "case": 1, "psnr": 41.0}]
    found = summarise_tasks([*rows, *more])
    assert [row.get("verdict") for row in found] == verdicts
    assert (found[1]["gain"], found[1]["of"], found[2]["images"]) == (2.0, 1, 2)


def test_what_fails_is_said_and_has_no_mean(
    quick: list[str], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(problem: Problem, seed: int, callback: Any = None) -> Outcome:
        raise InputError("the chain left the finite numbers")

    methods = {**tasks.TASKS["box-inpainting"].methods, "dps": fails}
    monkeypatch.setitem(tasks.TASKS, "box-inpainting", Task(methods))
    table = format_tasks(run_tasks(tasks="box-inpainting", data=pictures, count=1, size=SIZE))
    assert "| box-inpainting | dps | 1 |  |  | 1 failed |" in table
    assert "- box-inpainting, image 0, dps: the chain left the finite numbers" in table


def test_a_run_that_is_stopped_goes_on(quick: list[str], pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    options: dict[str, Any] = {"data": pictures, "size": SIZE, "json": file, "tasks": "box-inpainting"}
    run_tasks(**options, count=1)
    with pytest.raises(OutputError, match="--resume"):
        run_tasks(**options, count=2)
    quick.clear()
    rows = run_tasks(**options, count=2, resume=True)
    assert quick == ["split", "dps", "simple"]
    assert json.loads(file.read_text())["rows"] == rows
    with pytest.raises(ConfigError, match="made with size 56, not 64"):
        run_tasks(**options | {"size": 64}, resume=True)


def test_pictures_and_an_animation_of_the_sampling(
    quick: list[str], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shown"
    arguments = ["bench", "tasks", "--tasks", "box-inpainting", "--data", str(pictures), "--images", "1"]
    assert cli.main([*arguments, "--size", "56", "--pictures", str(folder)]) == 0
    assert "wins" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == [
        f"box-inpainting-{name}" for name in ("dps.gif", "dps.png", "split.gif", "split.png")
    ]
    from imageio.v3 import imread

    assert imread(folder / "box-inpainting-split.gif", index=None).shape[:3] == (3, 112, 112)
    # Data, three steps and the truth, with gaps between them.
    assert imread(folder / "box-inpainting-split.png").shape == (112, 5 * 112 + 4 * 4)


def test_a_sampler_may_be_left_out(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def solve(problem: Problem, seed: int, callback: Any = None) -> Outcome:
        return Outcome(problem.truth)

    simple = Classical(lambda problem, _: problem.truth)
    ways = {"split": solve, "dps": solve, "dps, uniform kernel prior": solve, "simple": simple}
    monkeypatch.setitem(tasks.TASKS, "box-inpainting", Task(ways))
    left = {"split": ["split", "simple"], "dps": ["dps", "dps, uniform kernel prior", "simple"]}
    for samplers in left:
        rows = run_tasks(tasks="box-inpainting", samplers=samplers, data=pictures, count=1, size=SIZE)
        assert [row["method"] for row in rows] == left[samplers]
    with pytest.raises(ConfigError, match="samplers 'tea': give split or dps"):
        run_tasks(samplers="tea")


def test_what_cannot_be_asked_for_is_refused_in_words(pictures: Path) -> None:
    assert parse_tasks("turbulence, box-inpainting") == ("box-inpainting", "turbulence")
    with pytest.raises(ConfigError, match="tasks tea: give some of box-inpainting"):
        parse_tasks("tea")
    with pytest.raises(ConfigError, match="tasks ' '"):
        parse_tasks(" ")
    with pytest.raises(ConfigError, match="multiple of 8"):
        run_tasks(size=50)
    with pytest.raises(InputError, match="lower --size"):
        run_tasks(tasks="box-inpainting", data=pictures, size=512)
    assert cli.main(["bench", "tasks", "--held-out"]) == 1


def test_the_best_draw_is_taken_as_it_is_and_not_the_mean_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = posed("phase-retrieval")
    made: list[Posterior] = []

    def kept(*given: Any) -> Posterior:
        made.append(draws(*given))
        return made[-1]

    draws = tasks_methods._draws
    monkeypatch.setattr(tasks_methods, "_draws", kept)
    found = Drawn(Split(4), samples=3, best=True)(problem, 0)
    best = int(made[0].chi2[:, 0].argmin())
    np.testing.assert_array_equal(found.image, made[0].samples["image"][best, 0, 0].numpy())
    assert found.chi2 == pytest.approx(float(made[0].chi2[best, 0]))
