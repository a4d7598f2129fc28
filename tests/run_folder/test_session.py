import logging

import pytest

from ctxenc.report.progress import Bar
from ctxenc.run_folder.folder import Run
from ctxenc.run_folder.session import Session, log_to


def resumed(run):
    return Session(run, Bar(10, steps_per_epoch=5, batch_size=1, quiet=True), resumed=True)


def test_the_seconds_of_every_process_are_added_up(tmp_path):
    run = Run(tmp_path)
    run.write_status("interrupted", step=3, seconds=100.0, error="SIGTERM")
    session = resumed(run)
    assert run.state == "interrupted"  # until its state is restored
    session.begin(2)
    assert (run.status["state"], run.status["step"], run.status["error"]) == ("running", 2, None)
    assert 100 <= run.status["seconds"] < 130


@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]", '{"seconds": "long"}'])
def test_a_status_that_cannot_be_read_stops_no_run_from_going_on(content, tmp_path):
    run = Run(tmp_path)
    if content is not None:
        (tmp_path / "status.json").write_text(content)
    assert run.state is None
    resumed(run).begin(7)
    assert (run.status["state"], run.status["step"]) == ("running", 7)


def test_the_log_has_the_traceback_and_the_console_only_the_line(tmp_path, capsys):
    run, console = Run(tmp_path), logging.StreamHandler()
    log = logging.getLogger("ctxenc.somewhere")
    with log_to(run.log_file, console):
        log.info("hello")
        try:
            raise ValueError("broken")
        except ValueError as error:
            log.debug("failed", exc_info=error)
    log.info("afterwards")
    text = run.log_file.read_text()
    assert "hello" in text
    assert "Traceback" in text
    assert "afterwards" not in text
    shown = capsys.readouterr().err
    assert "hello" in shown
    assert "Traceback" not in shown
