import pytest

from ctxenc.runs.folder import Run
from ctxenc.runs.status import StatusFile


def test_the_seconds_of_every_sitting_are_added_up(tmp_path):
    run = Run(tmp_path)
    run.write_status("interrupted", step=3, seconds=100.0, error="SIGTERM")
    sitting = StatusFile(run, resumed=True)
    assert run.state == "interrupted"  # until its state is restored
    sitting.begin(2)
    assert (run.status["state"], run.status["step"], run.status["error"]) == ("running", 2, None)
    assert 100 <= run.status["seconds"] < 130


@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]", '{"seconds": "long"}'])
def test_a_status_that_cannot_be_read_stops_no_run_from_going_on(content, tmp_path):
    run = Run(tmp_path)
    if content is not None:
        (tmp_path / "status.json").write_text(content)
    assert run.state is None
    StatusFile(run, resumed=True).begin(7)
    assert (run.status["state"], run.status["step"]) == ("running", 7)
