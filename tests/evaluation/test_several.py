"""The program on a sweep: each run once, whatever becomes of the others."""

import contextlib
import functools
import json
from unittest import mock

import numpy as np
import pytest

from ctxenc import launch
from ctxenc.evaluation import evaluate as evaluating
from ctxenc.evaluation.folder import Evaluation
from ctxenc.evaluation.several import split
from ctxenc.report import scores
from tests.fake_runs import fake_run
from tests.programs import started
from tests.tiny import TINY

CALLS = []
OWN = f"{__name__}.half_grey"


def half_grey(images, missing):
    """A baseline that counts how often it is asked."""
    CALLS.append(len(images))
    return np.where(missing[..., None], 0.5, images / 127.5 - 1)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two runs that differ in a number and in their networks' weights, one without a checkpoint."""
    folder = tmp_path_factory.mktemp("sweep")
    with contextlib.chdir(folder):
        for number, rate in enumerate(("1e-3", "2e-3")):
            where = f"hydra.run.dir='{folder}/{number}-learning_rate_g={rate}'"
            launch.run(*TINY, "max_steps=2", f"learning_rate_g={rate}", where)
    fake_run(folder / "2-learning_rate_g=1e30", state="failed", error="DivergedError: step 3")
    return folder


@pytest.fixture
def program():
    """Start it in this process; (exit status, standard output, standard error)."""
    evaluating._known.cache_clear()
    CALLS.clear()
    return functools.partial(started, "evaluate")


def evaluations(sweep, name):
    """Of the two runs, with the time at which each was written."""
    found = [Evaluation(run / "evaluation" / name) for run in sorted(sweep.glob("[01]-*"))]
    return found, [(one.path / "metrics.json").stat().st_mtime_ns for one in found]


def became(error):
    """What standard error says of each run, by its number."""
    lines = [line for line in error.splitlines() if line.split(":")[0].endswith(("-3", "e30"))]
    return {line[0]: line.partition(": ")[2] for line in lines}


def test_a_sweep_is_evaluated_and_its_baselines_are_measured_once(sweep, program):
    asked = (f"--baselines={OWN},mean_colour", "--name=once")
    status, out, error = program(sweep, *asked)
    assert status == 1
    assert {n: text.split(" ")[0] for n, text in became(error).items()} == {
        **{"0": "the", "1": "the", "2": "NOT"}
    }
    assert "(run failed: DivergedError: step 3)" in became(error)["2"]
    assert "Traceback" not in error
    both, _ = evaluations(sweep, "once")
    assert sum(CALLS) == both[0].metrics["images"] == 512
    assert max(map(len, out.splitlines()[:-1])) <= 80  # the last has a path
    order = sorted(both, key=lambda one: -one.metrics["rows"]["model"]["psnr_db"]["mean"])
    places = [out.index(one.path.parents[1].name) for one in order]
    assert places == sorted(places)
    for one in both:
        assert f"{one.metrics['rows']['model']['psnr_db']['mean']:.2f} (" in out
    assert out.splitlines()[-2:] == [
        "2 of 3 runs evaluated",
        f"to compare them: python -m ctxenc.compare {sweep}",
    ]

    rows, values = both[1].metrics, both[1].per_image()  # its baselines are the first run's
    status, *_ = program(both[1].path.parents[1], *asked)
    assert status == 0  # of one run, as ever: measured anew
    evaluating._known.cache_clear()
    status, *_ = program(both[1].path.parents[1], *asked)
    assert sum(CALLS) == 2 * 512
    assert both[1].metrics == rows
    assert both[1].per_image().keys() == values.keys()
    for name, column in both[1].per_image().items():
        np.testing.assert_array_equal(column, values[name], err_msg=name)


def test_what_is_evaluated_is_kept_and_what_a_kill_left_out_is_made_up(sweep, program):
    runs = sorted(sweep.glob("[01]-*"))
    asked = ("--baselines=mean_colour", "--name=kept")
    assert program(*runs, *asked)[0] == 0
    both, before = evaluations(sweep, "kept")

    status, out, error = program(*runs, *asked)
    assert (status, "2 of 2 runs evaluated" in out) == (0, True)
    assert set(became(error).values()) == {"evaluated already; --force does it anew"}
    assert evaluations(sweep, "kept")[1] == before

    (both[1].path / "metrics.json").unlink()  # as a kill between the two files leaves it
    status, _, error = program(*runs, *asked)
    assert became(error)["0"].startswith("evaluated already")
    assert became(error)["1"].startswith("the model ")
    (_, second), after = evaluations(sweep, "kept")
    assert after[0] == before[0]
    assert after[1] > before[1]

    program(*runs, *asked, "--force")
    assert all(np.array(evaluations(sweep, "kept")[1]) > after)
    assert second.metrics["rows"].keys() == {"model", "mean_colour"}


CHANGES = {  # of what a finished evaluation was of
    "another step": lambda found: found["checkpoint"].update(step=1),
    "other weights": lambda found: found["checkpoint"].update(weights="averaged"),
    "other images": lambda found: found["dataset"].update(test_fingerprint="others"),
    "other masks": lambda found: found.update(mask_hash="others"),
    "other networks": lambda found: found.update(networks={"lpips": {"file": "vgg.pt"}}),
    "another version's": lambda found: found.pop("options"),
}


def test_an_evaluation_of_anything_else_is_made_anew(sweep, program):
    run = min(sweep.glob("0-*"))
    asked = (run, run, "--baselines=none", "--name=changed")  # twice: as one of several
    program(*asked)
    evaluation = Evaluation(run / "evaluation" / "changed")
    whole, file = evaluation.metrics, evaluation.path / "metrics.json"
    for change in CHANGES.values():
        damaged = json.loads(json.dumps(whole))
        change(damaged)
        file.write_text(json.dumps(damaged))
        program(*asked)
        assert evaluation.metrics == whole
    file.write_text("{")
    program(*asked)
    assert evaluation.metrics == whole
    program(*asked[:2], "--baselines=context_mean", "--name=changed")
    assert set(evaluation.metrics["rows"]) == {"model", "context_mean"}


def test_a_fault_in_one_run_does_not_stop_the_others(sweep, program):
    def broken(path, *others, **options):
        if path.name.startswith("0"):
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return evaluating.evaluate(path, *others, **options)

    with mock.patch("ctxenc.evaluation.several.evaluate", broken):
        status, out, error = program(sweep, "--baselines=none", "--name=broken")
    assert status == 1
    assert became(error)["0"] == "NOT EVALUATED: RuntimeError: RESOURCE_EXHAUSTED: out of memory"
    assert became(error)["1"].startswith("no baseline was measured")
    assert "1 of 3 runs evaluated" in out


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("lambda_adv=0", "lambda_adv=0: the generator is trained; only "),
        ("mask=nope", "mask=nope: expected "),
        ("--baselines=magic", "--baselines magic: expected all, none, "),
        ("--name=../x", "--name ../x: expected the name of one folder"),
        ("--slow-images=0", "--slow-images 0: must be 1 or more"),
        ("nowhere", "nowhere: no such folder; expected run folders, or folders of them"),
    ],
)
def test_what_is_wrong_for_every_run_is_one_line_before_any(sweep, program, argument, message):
    status, out, error = program(sweep, argument)
    assert (status, out) == (1, "")
    (line,) = error.splitlines()
    assert line.startswith(f"ctxenc.evaluate: {message}")


def test_folders_and_overrides_are_told_apart():
    folders = ["experiments/a/0-mask=random", "1-dataset.path=_a,seed=1", "/tmp/a=b", "./mask=x"]
    overrides = ["mask=random", "dataset.path=/a", "mask.min_area=0.1", "+mask.x=1", "~mask"]
    assert split([*overrides[:2], *folders, *overrides[2:]]) == (folders, overrides)


def test_runs_of_other_tests_have_tables_of_their_own_and_long_names_are_broken(capsys):
    def metrics(psnr, masks):
        figure = {"mean": psnr, "low": psnr - 1, "high": psnr + 1, "images": 9}
        rows = {"model": {"psnr_db": figure, "ssim": {"mean": 0.5, "images": 9}}}
        dataset = {"name": "photos", "image_size": 16, "test_fingerprint": "same"}
        missing, notes = {"mean": 25.0}, ["the same note"]
        return {
            **{"name": masks, "mask_hash": masks, "dataset": dataset, "images": 9},
            **{"rows": rows, "missing": missing, "notes": notes},
        }

    long = "3-model.generator.upsample=resize_conv,learning_rate_g=0.001,[mask]=x"
    found = {"low": metrics(9.0, "a"), "other": metrics(8.0, "b"), long: metrics(10.0, "a")}
    scores.show_runs(found)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[:-1])) <= 80  # the last has a path
    assert out.index(long[:20]) < out.index("low") < out.index("b: photos") < out.index("other")
    assert long in "".join(line[: scores.WIDEST_RUN].strip() for line in out.splitlines())
    assert out.count("the same note") == 1
