"""Every value of every file of a run or a sweep, in turn replaced by another: one line, or none."""

import contextlib
import copy
import json

import pytest
import yaml

from ctxenc.comparison import comparison_table, page, paired, records, sections
from ctxenc.config.checks import check, compatible
from ctxenc.errors import UserError
from ctxenc.evaluation.folder import Evaluation
from ctxenc.report import curves
from ctxenc.report.scores import show_runs
from ctxenc.run_folder import checkpoints
from ctxenc.sweeps import overrides
from ctxenc.sweeps.folder import Sweep
from ctxenc.trained import _fill_value
from tests.fake_runs import fake_evaluation, fake_run

DEEP = "<deep>"
OTHERS = (
    None,
    True,
    -1,
    10**400,
    1.5,
    "x",
    "~nobody/x",
    "\0",
    [],
    [[1]],
    {},
    {"a": {"b": 1}},
    DEEP,
)


pytestmark = pytest.mark.usefixtures("in_full")


@pytest.fixture(scope="module", autouse=True)
def _no_plotly():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("plotly.offline.get_plotlyjs", lambda: "")  # 4 MB, of its own making
        yield


def places(value, at=()):
    """Where the values of a file are, the whole file first."""
    yield at
    if isinstance(value, dict | list):
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inside, (*at, key))


def replaced(value, at, other):
    """A copy with one of them replaced, as the text of a file."""
    changed = [copy.deepcopy(value)]
    inside = changed
    for key in (0, *at)[:-1]:
        inside = inside[key]
    inside[(0, *at)[-1]] = other
    text = json.dumps(changed[0])
    return text.replace(json.dumps(DEEP), "[" * 200 + "]" * 200)


def whole(folder):
    """A sweep of one run with an evaluation; and what its files hold."""
    run = fake_run(folder / "0-seed=0", overrides=["seed=0"])
    run.write_dataset(run.dataset | {"mean_colour": [0.1, 0.2, 0.3]})
    fake_evaluation(run, [15.0, 16.0])
    Sweep(folder).update(command=["seed=0,1"], planned=2, config_name="train")
    saved = run.path / "checkpoints" / "100" / "metrics" / "metrics"
    saved.parent.mkdir(parents=True)
    saved.write_text('{"psnr_db": 15.0}')
    (saved.parents[1] / "_CHECKPOINT_METADATA").write_text("{}")
    names = ("status.json", "summary.json", "dataset.json", "evaluation/test/metrics.json")
    names += ("checkpoints/100/metrics/metrics", "../sweep.json")
    contents = {name: json.loads((run.path / name).read_text()) for name in names}
    for name in ("config", "overrides"):  # JSON is YAML
        contents[f".hydra/{name}.yaml"] = yaml.safe_load(
            (run.path / ".hydra" / f"{name}.yaml").read_text()
        )
    contents["metrics.jsonl"] = run.lines()[0]
    return run, contents


def read_all(run, tmp_path, *, paged):
    """What programs do with the files of a folder; each may say one line."""
    sweep = Sweep(run.path.parent)

    def compared():
        found = sections.compare(records.load([str(sweep.path)]))
        pairs, _ = paired.tables(found)
        tables = comparison_table.tables(found, pairs, everything=True)
        if paged:
            page.html(found, tables, tmp_path)
            curves.save(tmp_path / "curves.png", run.plot())

    def evaluated():
        known = Evaluation(run.path / "evaluation" / "test").metrics
        if Evaluation(run.path / "evaluation" / "test").says({"images": known.get("images")}):
            show_runs({"run": known})

    def resumed():
        for text in sweep.command:
            overrides.check_saved(text, sweep.path)
        overrides.single_runs(sweep.command)
        assert isinstance(sweep.format, int)
        assert isinstance(sweep.config_name, str)
        sweep.update()

    def trained():
        config = check(compatible(run.config, run.path))
        _ = run.samples, checkpoints.best_step(run.checkpoints), _fill_value(run, config)

    def known():
        assert run.known_status["step"] + run.known_status["seconds"] >= 0
        if paged:
            assert run._repr_html_().startswith("<div>")
            assert len(run.metrics()) == len(run.lines())
        run.keep_metrics(lambda line: line["step"] <= 3 and line["split"] != "train")

    for act in (compared, evaluated, trained, resumed, known):
        with contextlib.suppress(UserError):
            act()


FILES = (
    *("status.json", "summary.json", "dataset.json", "metrics.jsonl", "../sweep.json"),
    *("evaluation/test/metrics.json", "checkpoints/100/metrics/metrics"),
    *(".hydra/config.yaml", ".hydra/overrides.yaml"),
)


def mutate(tmp_path, name, *, every):
    """Read the folder with each value of a file replaced, by every other, or by one in turn."""
    run, contents = whole(tmp_path / "sweep")
    before = {other: (run.path / other).read_text() for other in contents}
    for number, at in enumerate(places(contents[name])):
        for other in OTHERS if every else [OTHERS[number % len(OTHERS)]]:
            for each, text in before.items():
                (run.path / each).write_text(text)
            (run.path / name).write_text(replaced(contents[name], at, other) + "\n")
            read_all(run, tmp_path, paged=every)


@pytest.mark.parametrize("name", FILES)
def test_a_value_of_another_kind_is_one_line(tmp_path, name):
    mutate(tmp_path, name, every=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_value_of_another_kind_is_one_line(tmp_path, name):
    mutate(tmp_path, name, every=True)
