"""The plan of a sweep, without training: `prepare` only checks."""

import json
from types import SimpleNamespace

import pytest

from ctxenc.config import search_path
from ctxenc.config.checks import check
from ctxenc.errors import UserError
from ctxenc.sweeps import start
from ctxenc.sweeps.folder import Sweep


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Nothing is opened or traced; what `prepare` refuses is tested with the program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        start.launch, "prepare", lambda composed: SimpleNamespace(config=check(composed))
    )


def saved(plan, folder):
    """A sweep's folder as it is once the plan has begun."""
    sweep = Sweep(folder)
    sweep.update(command=plan.saved, planned=plan.planned, config_name=plan.config_name)
    return sweep


def test_the_command_is_saved_as_it_will_mean_the_same_jobs_again(tmp_path):
    data = ["dataset=cifar10", "dataset.data_dir=here"]
    plan = start.new([*data, "seed=shuffle(range(3))", "mask=glob(c*)", "lambda_adv=0,1e-3"])
    *fixed, seeds, masks, rates = plan.saved
    assert fixed == ["dataset=cifar10", f"dataset.data_dir='{tmp_path}/here'"]
    assert sorted(seeds.removeprefix("seed=").split(",")) == ["0", "1", "2"]
    assert masks.startswith("mask=center")
    assert rates == "lambda_adv=0,0.001"
    assert plan.planned == 3 * 2 * len(masks.split(","))
    again = start.resumed(saved(plan, tmp_path), [])
    assert again.arguments(tmp_path) == plan.arguments(tmp_path)


def test_a_masks_folder_is_the_same_from_anywhere(tmp_path):
    parts = "+mask.parts.shapes={_target_:ctxenc.masks.segments.Segments,folder:else}"
    plan = start.new(
        ["mask=segments,mixture", "++mask.folder=here", parts, "mask.parts.shapes.folder=there"]
    )
    assert f"++mask.folder='{tmp_path}/here'" in plan.saved
    assert f"mask.parts.shapes.folder='{tmp_path}/there'" in plan.saved


def test_jobs_are_named_by_what_they_differ_in_and_nothing_else(tmp_path):
    plan = start.new(["+experiment=cifar10_center", "batch_size=8", "seed=1,2"])
    excluded = "hydra.job.config.override_dirname.exclude_keys=[experiment,batch_size]"
    assert plan.arguments(tmp_path)[-1] == excluded


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lambda_adv=interval(0,0.1)", "hydra/sweeper=optuna"),
        ("hydra.sweep.subdir=x", "named by their numbers"),
        ("hydra/launcher=basic,basic", "expected one value"),
        ("save_dir=/tmp/a,/tmp/b", "expected a relative folder"),
        ("lambda_adv=0,2", "lambda_adv=2"),
        ("seed=1,-1", "seed=-1"),
        ("mask=center,nope", "mask=nope: expected"),
        ("distributed=true", "one process each"),
    ],
)
def test_bad_values_leave_nothing_behind(override, message, tmp_path):
    with pytest.raises(UserError, match=message):
        start.new([override, "num_img=2,3"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["hydra/launcher=ray", "hydra/sweeper=optuna"])
def test_a_plugin_that_is_not_installed_is_named(name, monkeypatch):
    def missing(*_, **__):
        raise UserError(f"{name}: no such file in conf")

    monkeypatch.setattr(start, "compose", missing)
    with pytest.raises(UserError, match=rf"pip install 'ctxenc\[{name.split('=')[1]}\]'"):
        start.new([name, "seed=1,2"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=range(1000000000)", "expected at most 10000 values"),
        ("seed=shuffle(range(0,1,1e-12))", "expected at most 10000 values"),
        ("lambda_adv=range(0.0,1.0,0.0)", "expected at most 10000 values"),
        ("seed=range(100) batch_size=range(1,102) num_img=1,2", "20200 jobs: expected at most"),
        ("name=" + "[" * 3000 + "]" * 3000, "Hydra cannot read this"),
    ],
)
def test_a_sweep_without_end_is_refused_at_once(tmp_path, text, message):
    (tmp_path / "sweep.json").write_text(json.dumps({"command": text.split(), "format": 2}))
    with pytest.raises(UserError, match=message):
        start.resumed(Sweep(tmp_path), [])
    with pytest.raises(UserError, match=message):
        start.new(text.split())


def test_hostile_sweeps_start_nothing(tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps({"command": ["mask._target_=os.system"]}))
    with pytest.raises(UserError, match=r"mask\._target_=os\.system: not run from a saved folder"):
        start.resumed(Sweep(tmp_path), [])
    assert [p.name for p in tmp_path.iterdir()] == ["sweep.json"]


@pytest.mark.parametrize("found", [None, 1])
def test_sweeps_of_another_or_no_format_are_refused(tmp_path, found):
    (tmp_path / "sweep.json").write_text(json.dumps({"command": ["seed=1,2"], "format": found}))
    with pytest.raises(UserError, match=r"^resume=.*: its runs have no validation split, as none"):
        start.resumed(Sweep(tmp_path), [])


def test_only_the_launcher_and_the_length_of_a_search_change_with_resume(tmp_path):
    sweep = saved(start.new(["seed=1,2", "n_epoch=3"]), tmp_path)
    for change in ("n_epoch=4", "seed=1,2,3", "hydra.sweep.dir=x"):
        with pytest.raises(UserError, match="goes on as it was started"):
            start.resumed(sweep, [change])
    plan = start.resumed(sweep, ["hydra/launcher=basic"])
    assert plan.saved == ["seed=1,2", "n_epoch=3", "hydra/launcher=basic"]


# Sweeps in the user's own YAML.

OWN = {
    "mine.yaml": """
defaults: [train, _self_]
batch_size: 16
hydra: {sweeper: {params: {seed: "range(3)", lambda_adv: 0.1, mask: "center,random"}}}
""",
    "experiment/many.yaml": """
# @package _global_
batch_size: 8
hydra: {sweeper: {params: {seed: "1,2"}}}
""",
    "mask/own.yaml": "_target_: ctxenc.masks.boxes.center_box\nmask_height: 4\nmask_width: 4\n",
}


@pytest.fixture
def own(tmp_path):
    """The user's own folder of configurations."""
    folder = tmp_path / "own"
    for name, text in OWN.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    search_path.add(folder)
    yield folder
    search_path.add(None)


def test_a_sweep_in_a_configuration_is_like_one_that_was_typed(own, tmp_path):
    plan = start.new([], "mine")
    assert plan.saved == ["seed=0,1,2", "lambda_adv=0.1", "mask=center,random"]
    assert plan.planned == 6
    arguments = plan.arguments(tmp_path)
    assert arguments[0] == "--config-name=mine"
    assert "hydra.sweeper.params=null" in arguments  # they are in the command
    assert arguments[-1].endswith("exclude_keys=[lambda_adv]")
    again = start.resumed(saved(plan, tmp_path / "own"), [], "mine")
    assert again.arguments(tmp_path) == arguments


def test_what_is_typed_wins_over_the_configuration(own):
    plan = start.new(["seed=5,6", "mask=center", "n_epoch=3"], "mine")
    assert plan.saved == ["seed=5,6", "lambda_adv=0.1", "mask=center", "n_epoch=3"]
    assert plan.planned == 2


def test_a_recipe_may_bring_its_sweep(own):
    plan = start.new(["+experiment=many"])
    assert plan.saved == ["seed=1,2", "+experiment=many"]
    assert plan.shared.batch_size == 8


def test_bad_values_in_a_configuration_are_refused(own):
    (own / "mine.yaml").write_text(OWN["mine.yaml"].replace("0.1", "'0.1,2'"))
    with pytest.raises(UserError, match="lambda_adv=2"):
        start.new([], "mine")


def test_no_folder_of_configurations_is_saved_and_each_is_to_be_given_again(own, tmp_path):
    search_path.add(None)
    given = f"hydra.searchpath=[file://{own}]"
    plan = start.new([given, "mask=own,center"])
    assert plan.saved == ["mask=own,center"]
    assert given in plan.arguments(tmp_path)
    sweep = saved(plan, tmp_path)
    with pytest.raises(UserError, match=r"mask=own: expected .*--config-dir.*give it again"):
        start.resumed(sweep, [])
    assert given in start.resumed(sweep, [given]).arguments(tmp_path)
    search_path.add(own)
    assert start.resumed(sweep, []).planned == 2


def test_another_configuration_to_begin_with_is_refused(own, tmp_path):
    sweep = saved(start.new([], "mine"), tmp_path)
    with pytest.raises(UserError, match="--config-name=train: expected mine"):
        start.resumed(sweep, [])


def test_hydras_params_may_be_typed_and_are_overrides_like_any_other():
    plan = start.new(["hydra.sweeper.params.seed=0,1", "+hydra.sweeper.params.lambda_adv=0,1e-3"])
    assert plan.saved == ["seed=0,1", "lambda_adv=0,0.001"]
    assert plan.planned == 4


def test_hundreds_of_jobs_are_composed_once_and_every_value_is_checked(monkeypatch):
    composed, checked = [], []
    compose, prepare = start.compose, start.launch.prepare
    monkeypatch.setattr(start, "compose", lambda *a, **k: composed.append(a) or compose(*a, **k))
    monkeypatch.setattr(start.launch, "prepare", lambda c: checked.append(c.seed) or prepare(c))
    assert start.new(["seed=range(40)", "mask=center,random"]).planned == 80
    assert len(composed) < 5
    assert {*range(40)} == {*checked}
    with pytest.raises(UserError, match="lambda_adv=2"):
        start.new(["lambda_adv=0,2,1"])
