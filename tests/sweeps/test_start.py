import json
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ctxenc.config.checks import check
from ctxenc.errors import UserError
from ctxenc.sweeps import start
from ctxenc.sweeps.folder import Sweep


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Nothing is opened or traced; what a plan refuses is tested with the program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        start.launch, "plan", lambda composed: SimpleNamespace(config=check(composed))
    )


def test_the_command_is_kept_as_it_will_mean_the_same_jobs_again(tmp_path):
    sweep, arguments = start.begin(
        [
            *("seed=shuffle(range(3))", "mask=glob(c*)"),
            *("dataset=cifar10", "dataset.data_dir=here", "lambda_adv=0,1e-3"),
        ]
    )
    seeds, *others = sweep.command
    assert sorted(seeds.removeprefix("seed=").split(",")) == ["0", "1", "2"]
    assert others[1:] == [
        "dataset=cifar10",
        f"dataset.data_dir='{tmp_path}/here'",
        "lambda_adv=0,0.001",
    ]
    assert others[0].startswith("mask=center")
    assert sweep.planned == 3 * 2 * len(others[0].split(","))
    assert arguments[:4] == sweep.command
    again, same = start.take_up(str(sweep.path), [])
    assert (again.path, same) == (sweep.path, arguments)


@pytest.mark.parametrize("key", ["dataset.path", "+dataset.data_dir", "mask.folder"])
def test_relative_folders_are_settled(key, tmp_path):
    settled = start.with_absolute_values(f"{key}=a,/b")
    assert settled == f"{key}='{tmp_path}/a','/b'"
    reference = f"{key}=${{dataset.path}}"
    assert start.with_absolute_values(reference) == reference


def test_a_masks_folder_is_the_same_from_anywhere(tmp_path):
    parts = "+mask.parts.shapes={_target_:ctxenc.masks.segments.Segments,folder:else}"
    sweep, _ = start.begin(
        ["mask=segments,mixture", "++mask.folder=here", parts, "mask.parts.shapes.folder=there"]
    )
    assert f"++mask.folder='{tmp_path}/here'" in sweep.command
    assert f"mask.parts.shapes.folder='{tmp_path}/there'" in sweep.command


def test_jobs_are_named_by_what_they_differ_in_and_nothing_else():
    _, arguments = start.begin(["+experiment=cifar10_center", "batch_size=8", "seed=1,2"])
    excluded = "hydra.job.config.override_dirname.exclude_keys=[experiment,batch_size]"
    assert arguments[-1] == excluded


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("lambda_adv=interval(0,0.1)", "hydra/sweeper=optuna"),
        ("hydra.sweep.subdir=x", "named by their numbers"),
        ("resume=somewhere", "leave out --multirun"),
        ("save_dir=/tmp/a,/tmp/b", "would share it"),
        ("lambda_adv=0,2", "lambda_adv=2"),
        ("seed=1,-1", "seed=-1"),
        ("distributed=true", "one process each"),
    ],
)
def test_bad_values_leave_nothing_behind(override, told, tmp_path):
    with pytest.raises(UserError, match=told):
        start.begin([override, "num_img=2,3"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["hydra/launcher=ray", "hydra/sweeper=optuna"])
def test_a_plugin_that_is_not_installed_is_named(name, monkeypatch):
    monkeypatch.setattr(start, "_installed", lambda module: False)
    with pytest.raises(UserError, match=rf"pip install 'ctxenc\[{name.split('=')[1]}\]'"):
        start.begin([name, "seed=1,2"])


HOSTILE = (
    "hydra.launcher.setup=[reboot]",
    "hydra.launcher._target_=os.system",
    "hydra.sweeper.custom_search_space=os.system",
    "hydra.sweeper.sampler._target_=os.system",
    "+hydra.callbacks.x._target_=os.system",
    "++hydra.job.env_set.PATH=x",
    "hydra.searchpath=[file:///tmp]",
    "hydra.launcher.ray.init.address=elsewhere:1",
    "hydra/job_logging=default",
    "--config-dir=/tmp",
    "-cd=/tmp",
    "hydra/launcher=basic,hydra.launcher.setup=1",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_sweep_starts_nothing_of_his(text, tmp_path):
    (tmp_path / "sweep.json").write_text(json.dumps({"command": [text], "planned": 1}))
    with pytest.raises(UserError):
        start.take_up(str(tmp_path), [])
    assert [p.name for p in tmp_path.iterdir()] == ["sweep.json"]


def test_only_the_launcher_and_the_length_of_a_search_change_with_resume(tmp_path):
    sweep, _ = start.begin(["seed=1,2", "n_epoch=3"])
    for change in ("n_epoch=4", "seed=1,2,3", "hydra.sweep.dir=x"):
        with pytest.raises(UserError, match="goes on as it was started"):
            start.take_up(str(sweep.path), [change])
    start.take_up(str(sweep.path), ["hydra/launcher=basic"])
    assert sweep.command == ["seed=1,2", "n_epoch=3", "hydra/launcher=basic"]


def test_values_that_are_listed_are_read_back_the_same():
    text = start.listed("name='a b','c,d',e")
    parsed = OverridesParser.create().parse_overrides([text])[0]
    texts = [getattr(value, "text", value) for value in parsed.sweep_iterator()]
    assert texts == ["a b", "c,d", "e"]
    assert Sweep.there("/nowhere") is False
