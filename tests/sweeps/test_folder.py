import json
from concurrent.futures import ThreadPoolExecutor, wait

import filelock
import pytest

from ctxenc.errors import UserError
from ctxenc.run_folder.folder import FORMAT, Run
from ctxenc.sweeps.folder import Sweep
from tests.fake_runs import damage, fake_run, rows


@pytest.fixture
def sweep(tmp_path):
    sweep = Sweep(tmp_path)
    sweep.update(command=["seed=0,1"], planned=3)
    return sweep


def saved(sweep):
    return json.loads((sweep.path / "sweep.json").read_text())


def test_a_row_says_how_a_job_stands(sweep):
    fake_run(sweep.path / "0-seed=0", psnr=15.0, overrides=["seed=0"])
    sweep.update(Run(sweep.path / "0-seed=0"))
    (row,) = saved(sweep)["jobs"]
    assert row["folder"] == "0-seed=0"
    assert row["overrides"] == ["seed=0"]
    assert (row["state"], row["error"], row["step"], row["seconds"]) == ("finished", None, 100, 61)
    assert row["last"]["psnr_db"] == 15.0
    assert (sweep.command, sweep.config_name) == (["seed=0,1"], "train")
    assert (saved(sweep)["planned"], saved(sweep)["format"]) == (3, FORMAT)


def test_rows_are_replaced_and_ordered_by_number(sweep):
    for number in (10, 2, 0):
        fake_run(sweep.path / f"{number}-a", state="interrupted", error="SIGTERM")
        sweep.update(Run(sweep.path / f"{number}-a"))
    fake_run(sweep.path / "2-a")
    sweep.update(Run(sweep.path / "2-a"))
    found = {name: row["state"] for name, row in rows(sweep.path).items()}
    assert list(found.items()) == [
        ("0-a", "interrupted"),
        ("2-a", "finished"),
        ("10-a", "interrupted"),
    ]


def test_a_jobs_row_costs_no_look_into_the_other_jobs(sweep, monkeypatch):
    runs = [fake_run(sweep.path / f"{number}-a") for number in range(3)]
    own, looked = Run.own, []
    monkeypatch.setattr(Run, "own", lambda run, name: looked.append(name) or own(run, name))
    sweep.update(runs[1])
    assert looked == ["1-a/.hydra"]


def test_jobs_that_end_together_lose_no_row(sweep):
    runs = [fake_run(sweep.path / f"{number}-a") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sweep.update, runs))
    assert len(rows(sweep.path)) == 8


def test_resuming_waits_for_a_row_that_is_being_written(sweep):
    with ThreadPoolExecutor(1) as pool:
        with filelock.FileLock(sweep.path / ".writing.lock"):  # by a job
            resumed = pool.submit(sweep.update, command=["seed=0,1,2"])
            assert not wait([resumed], timeout=0.3).done
        resumed.result(timeout=30)
    assert sweep.command == ["seed=0,1,2"]


def test_an_update_finds_what_was_never_written_and_forgets_what_was_removed(sweep):
    fake_run(sweep.path / "0-a")
    damage(fake_run(sweep.path / "1-a"), "status.json", "{")
    (sweep.path / ".submitit").mkdir()
    (sweep.path / "notes").mkdir()
    assert [job.state for job in sweep.update()] == ["finished", "damaged"]
    assert rows(sweep.path)["0-a"]["error"] is None
    assert "status.json" in rows(sweep.path)["1-a"]["error"]
    (sweep.path / "0-a").rename(sweep.path / "moved")
    sweep.update()
    assert list(rows(sweep.path)) == ["1-a"]


def test_what_a_newer_version_wrote_is_kept(sweep):
    fake_run(sweep.path / "0-a")
    sweep.update()
    newer = saved(sweep) | {"format": FORMAT + 1, "notes": ["x"]}
    newer["jobs"][0]["watts"] = 3
    (sweep.path / "sweep.json").write_text(json.dumps(newer))
    sweep.update(Run(sweep.path / "0-a"))
    assert saved(sweep) == newer


def test_a_file_with_nothing_but_the_command_is_read(tmp_path):
    (tmp_path / "sweep.json").write_text('{"command": ["seed=1"]}')
    fake_run(tmp_path / "0-a")
    sweep = Sweep(tmp_path)
    assert (sweep.command, sweep.config_name) == (["seed=1"], "train")
    assert [job.state for job in sweep.update()] == ["finished"]
    assert list(rows(sweep.path)) == ["0-a"]


def test_a_second_process_is_refused(sweep):
    with sweep.lock(), pytest.raises(UserError, match="another process"), Sweep(sweep.path).lock():
        pass


@pytest.mark.parametrize(
    "content",
    [
        *("", "[1]", "{", "{}", '{"command": "x"}', '{"command": [1]}', "[" * 9**6),
        *('{"command": ["seed=1"], "format": "two"}', '{"command": ["seed=1"], "format": [2]}'),
        json.dumps({"command": ["seed=1"] * 501}),
        json.dumps({"command": ["name=" + "x" * 2**16]}),
    ],
    ids=range(11),
)
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(UserError, match=r"sweep\.json: "):
        _ = Sweep(tmp_path).command


@pytest.mark.parametrize("jobs", [3, [1, {}], [{"folder": "9" * 9999}], {"folder": "0-a"}])
def test_damaged_rows_are_replaced(tmp_path, jobs):
    (tmp_path / "sweep.json").write_text(json.dumps({"command": [], "planned": True, "jobs": jobs}))
    fake_run(tmp_path / "0-a")
    sweep = Sweep(tmp_path)
    sweep.update(command=[], planned=1)
    assert list(rows(sweep.path)) == ["0-a"]
