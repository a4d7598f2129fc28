"""One job of a sweep: begun, gone on with, or left as it is, by what its folder holds."""

import contextlib
import io
import logging
import sys
from typing import Any

from omegaconf import DictConfig

from ctxenc import launch
from ctxenc.config.compose import with_absolute_paths
from ctxenc.errors import printable
from ctxenc.experiment import train
from ctxenc.runs.folder import LockedError, Run
from ctxenc.sweeps import gpu_assignment
from ctxenc.sweeps.folder import Sweep

log = logging.getLogger(__name__)


def job(composed: DictConfig, hydra: Any) -> float | None:
    """Do what is left to do of one job; what goes wrong is in its status and its log.

    A finished job is not touched. An unfinished one goes on from its latest checkpoint, and one
    without a checkpoint begins anew; so does one that failed, except in a search: there, what has
    failed stays failed, so that the search proposes the same jobs again.

    Args:
        composed: its configuration.
        hydra: Hydra's own, where the job's and the sweep's folders are named.

    Returns:
        The objective at the last test, for a search; None where the job did not finish.
    """
    run, sweep = Run(hydra.runtime.output_dir), Sweep(hydra.sweep.dir)
    choices = hydra.runtime.choices
    done = ("finished",) if choices["hydra/sweeper"] == "basic" else ("finished", "failed")
    if run.state not in done:
        several = choices["hydra/launcher"] == "joblib"
        if several:
            gpu_assignment.take(sweep.path, hydra.launcher.n_jobs)
        try:
            with _silence() if several else contextlib.nullcontext():  # bars would tear each other
                _work(composed, run, sweep, list(hydra.overrides.task))
        finally:
            sweep.update(run)
        print(printable(_told(run)), file=sys.stderr)
    if run.state != "finished":
        return None
    return float(run.summary["last"][composed.monitor])


def _work(composed: DictConfig, run: Run, sweep: Sweep, overrides: list[str]) -> None:
    """Begin or go on, with the run's lock from the first that is written to the last."""
    try:
        with run.lock():
            print(printable(run.path.name), file=sys.stderr)
            try:
                _train(composed, run, sweep, overrides)
            except KeyboardInterrupt as stop:
                if run.state == "running":  # else training has said so
                    _say(run, "interrupted", str(stop) or "SIGINT")
                raise
            except Exception as error:
                _fail(run, error)
    except LockedError as error:  # the process of a killed sweep lives on: its run is its own
        print(error, file=sys.stderr)


def _train(composed: DictConfig, run: Run, sweep: Sweep, overrides: list[str]) -> None:
    if launch.has_checkpoint(run):
        _say(run, "running")
        sweep.update(run)
        launch.resume(str(run.path))
        return
    composed = with_absolute_paths(composed)
    run.write_config(composed, overrides)
    run.write_status("running", step=0, seconds=0.0)
    sweep.update(run)
    if run.metrics():
        run.keep_metrics(lambda line: False)  # of an attempt that saved nothing
    train(launch.prepare(composed), run)


def _fail(run: Run, error: Exception) -> None:
    """Have status and log say what went wrong, where training has not come far enough to."""
    message = f"{type(error).__name__}: {error}"
    before = run.known_status
    if (before["state"], before["error"]) != ("failed", message):
        with run.logging(logging.NullHandler()):
            log.error("failed", exc_info=error)
        _say(run, "failed", message)


def _say(run: Run, state: str, error: str | None = None) -> None:
    """Change the status, but for the step and the seconds."""
    before = run.known_status
    run.write_status(state, step=before["step"], seconds=before["seconds"], error=error)


def _told(run: Run) -> str:
    status = run.known_status
    state = status["state"] or "not begun"
    return f"{run.path.name}: {state}" + f" ({status['error']})" * bool(status["error"])


def _silence() -> contextlib.AbstractContextManager[object]:
    return contextlib.redirect_stderr(io.StringIO())
