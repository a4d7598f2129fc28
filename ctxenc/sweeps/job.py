"""One job of a sweep: begun, resumed, or left as it is, by what its folder holds."""

import contextlib
import io
import logging
import sys
from typing import Any

from omegaconf import DictConfig

from ctxenc import launch
from ctxenc.comparison import records
from ctxenc.config.compose import with_absolute_paths
from ctxenc.errors import printable
from ctxenc.experiment import train
from ctxenc.metrics.registry import METRICS
from ctxenc.run_folder.folder import LockedError, Run
from ctxenc.run_folder.session import log_to
from ctxenc.sweeps import gpu_assignment
from ctxenc.sweeps.folder import Sweep

log = logging.getLogger(__name__)


def job(composed: DictConfig, hydra: Any) -> float | None:
    """Do what is left to do of one job; what goes wrong is in its status and its log.

    A finished job is not touched. An unfinished one goes on from its latest checkpoint, and one
    without a checkpoint begins anew; so does one that failed, except in a search: there, what has
    failed stays failed, so that the search proposes the same jobs again.

    Hydra's own configuration, `hydra`, names the job's and the sweep's folders.

    Returns:
        What a search optimises: the monitored metric of the last validation, or how far it is from
        1 where that is best. None where the job did not end.
    """
    run, sweep = Run(hydra.runtime.output_dir), Sweep(hydra.sweep.dir)
    is_grid = "basic_sweeper" in hydra.sweeper._target_
    if run.state not in (("finished",) if is_grid else ("finished", "failed")):
        beside_others = "joblib" in hydra.launcher._target_
        if beside_others:
            gpu_assignment.take_slot(sweep.path, hydra.launcher.n_jobs)
        silence = contextlib.redirect_stderr(io.StringIO())  # their bars would tear each other
        with silence if beside_others else contextlib.nullcontext():
            try:
                with run.lock():  # from the first file that is written to the last
                    _begin_or_resume(composed, run, sweep, hydra)
            except LockedError as error:  # a process of the killed sweep still trains this job
                print(error, file=sys.stderr)
            finally:
                sweep.update(run)
        status = run.known_status
        why = f" ({status['error']})" if status["error"] else ""
        line = f"{run.path.name}: {status['state'] or 'not begun'}{why}"
        print(printable(line), file=sys.stderr)
    done = records.read(run.path, run.path.name)
    value = done.last.get(composed.monitor) if done.state == "finished" else None
    metric = METRICS.get(composed.monitor)
    if value is None or metric is None or metric.better != "nearer 1":
        return value
    return metric.badness(value)


def _begin_or_resume(composed: DictConfig, run: Run, sweep: Sweep, hydra: Any) -> None:
    """Train; status and log say what went wrong, also where it went wrong before training."""
    print(printable(run.path.name), file=sys.stderr)
    try:
        if launch.has_checkpoint(run):
            _set_state(run, "running")
            sweep.update(run)
            launch.resume(str(run.path))
            return
        composed = with_absolute_paths(composed)
        run.write_config(composed, list(hydra.overrides.task), hydra.job.config_name)
        run.write_status("running", step=0, seconds=0.0)
        sweep.update(run)
        if run.lines():
            run.keep_metrics(lambda line: False)  # of an attempt that saved nothing
        ready = launch.prepare(composed)
        run.write_config(composed)  # with the step of `init_from`
        train(ready, run)
    except KeyboardInterrupt as stop:
        if run.state == "running":  # else training has said so
            _set_state(run, "interrupted", str(stop) or "SIGINT")
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        if (run.state, run.known_status["error"]) != ("failed", message):
            with log_to(run.log_file, logging.NullHandler()):
                log.error("failed", exc_info=error)
            _set_state(run, "failed", message)


def _set_state(run: Run, state: str, error: str | None = None) -> None:
    """Change the status, but for the step and the seconds."""
    before = run.known_status
    run.write_status(state, step=before["step"], seconds=before["seconds"], error=error)
