import pytest

from ctxenc.comparison.records import load
from ctxenc.errors import UserError
from tests.fake_runs import fake_run


def labels(*folders):
    return [record.label for record in load(folders)]


def test_runs_and_sweeps_are_found_at_any_depth_and_counted_as_people_do(tmp_path):
    for name in ("sweep/10-seed=10", "sweep/2-seed=2", "single", "a/b/c"):
        fake_run(tmp_path / name)
    (tmp_path / "single" / "evaluation").mkdir()
    fake_run(tmp_path / "single" / "evaluation" / "inside")  # of a run: not a run of its own
    fake_run(tmp_path / ".hidden" / "run")
    found = labels(tmp_path, tmp_path / "sweep")
    assert found == ["a/b/c", "single", "sweep/2-seed=2", "sweep/10-seed=10"]
    assert labels(tmp_path / "single") == ["single"]


def test_links_in_a_circle_end_and_name_a_run_once(tmp_path):
    run = fake_run(tmp_path / "real" / "run")
    (tmp_path / "real" / "circle").symlink_to(tmp_path)
    (tmp_path / "a_link").symlink_to(run.path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    fake_run(elsewhere / "other")
    (tmp_path / "linked").symlink_to(elsewhere)
    assert labels(tmp_path) == ["linked/other", "real/run"]


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_no_run_is_a_user_error(tmp_path, name):
    (tmp_path / "empty" / ".hydra").mkdir(parents=True)
    with pytest.raises(UserError, match=name):
        load([tmp_path / name])
