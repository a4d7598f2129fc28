"""Stops once a program is imported: none is swallowed, and each says how to go on."""

import gc
import signal
import time

import pytest

from ctxenc import stops
from ctxenc.cli import program
from ctxenc.errors import Interrupted
from ctxenc.run_folder.session import to_go_on


@pytest.mark.parametrize("number", stops.STOPS)
def test_a_stop_that_a_callback_swallows_is_raised_again(number):
    sent = []

    def callback(phase, info):  # as JAX has one, in which Python drops what is raised
        if not sent:
            sent.append(number)
            signal.raise_signal(number)

    try:
        with pytest.raises(Interrupted) as caught, stops.raised():  # noqa: PT012
            gc.callbacks.append(callback)  # not before: the collector runs by itself, too
            gc.collect()
            time.sleep(5)  # is cut short
            raise AssertionError("swallowed")
    finally:
        gc.callbacks.remove(callback)
    assert caught.value.signum == number
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with stops.raised():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stopped_program_says_the_whole_command_to_go_on(tmp_path, capsys):
    folder = tmp_path / "it's a sweep"
    with pytest.raises(SystemExit) as left, program("ctxenc.train"):  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as stop:
            stop.add_note(to_go_on(tmp_path))  # the run's
            stop.add_note(to_go_on(folder, "--config-name=mine"))  # the sweep's, which is meant
            raise
    assert left.value.code == 143
    (line,) = capsys.readouterr().err.splitlines()
    command = f"python -m ctxenc.train 'resume={tmp_path}/it'\"'\"'s a sweep' --config-name=mine"
    assert line == f"ctxenc.train: stopped by SIGTERM; to go on: {command}"


def test_a_working_directory_that_is_gone_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit), program("ctxenc.show"):
        raise AssertionError("went on")
    told = capsys.readouterr().err
    assert told == "ctxenc.show: the working directory is not there any more\n"
