import json
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from ctxenc.errors import UserError
from ctxenc.runs.folder import Run
from ctxenc.sweeps.folder import Sweep
from tests.fake_runs import damage, fake_run


@pytest.fixture
def sweep(tmp_path):
    sweep = Sweep(tmp_path)
    sweep.begin(["seed=0,1"], 3)
    return sweep


def test_a_row_says_how_a_job_stands(sweep):
    fake_run(sweep.path / "0-seed=0", psnr=15.0, overrides=["seed=0"])
    sweep.update(Run(sweep.path / "0-seed=0"))
    (row,) = sweep.rows
    assert row["folder"] == "0-seed=0"
    assert row["overrides"] == ["seed=0"]
    assert (row["state"], row["error"], row["step"], row["seconds"]) == ("finished", None, 100, 61)
    assert row["last"]["psnr_db"] == 15.0
    assert (sweep.command, sweep.planned) == (["seed=0,1"], 3)


def test_rows_are_replaced_and_counted_as_a_person_would(sweep):
    for number in (10, 2, 0):
        fake_run(sweep.path / f"{number}-a", state="interrupted", error="SIGTERM")
        sweep.update(Run(sweep.path / f"{number}-a"))
    fake_run(sweep.path / "2-a")
    sweep.update(Run(sweep.path / "2-a"))
    assert [row["folder"] for row in sweep.rows] == ["0-a", "2-a", "10-a"]
    assert [row["state"] for row in sweep.rows] == ["interrupted", "finished", "interrupted"]


def test_jobs_that_end_together_lose_no_row(sweep):
    runs = [fake_run(sweep.path / f"{number}-a") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sweep.update, runs))
    assert len(sweep.rows) == 8


def test_taking_up_waits_for_a_row_that_is_being_written(sweep):
    with ThreadPoolExecutor(1) as pool:
        with sweep._writing():
            taken_up = pool.submit(sweep.begin, ["seed=0,1,2"], 3)
            assert not wait([taken_up], timeout=0.3).done
        taken_up.result(timeout=30)
    assert sweep.command == ["seed=0,1,2"]


def test_refreshing_finds_what_was_never_written(sweep):
    fake_run(sweep.path / "0-a")
    damage(fake_run(sweep.path / "1-a"), "status.json", None)
    (sweep.path / ".submitit").mkdir()
    (sweep.path / "notes").mkdir()
    assert [job.state for job in sweep.refresh()] == ["finished", "unknown"]
    assert [row["error"] for row in sweep.rows] == [None, "status.json: missing"]


def test_a_second_process_is_refused(sweep):
    with sweep.lock(), pytest.raises(UserError, match="another process"), Sweep(sweep.path).lock():
        pass


@pytest.mark.parametrize(
    "content", ["", "[1]", "{", '{"command": "x"}', '{"command": [1]}', "[" * 9**6]
)
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(UserError, match=r"sweep\.json: "):
        _ = Sweep(tmp_path).command
    (tmp_path / "sweep.json").write_text(json.dumps({"command": [], "planned": True, "jobs": 3}))
    with pytest.raises(UserError, match="planned=True"):
        _ = Sweep(tmp_path).planned
    assert Sweep(tmp_path).rows == []
