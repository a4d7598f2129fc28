"""MLflow: a store of one's own in a file, or a server's."""

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock
from PIL import Image

from ctxenc.run_folder.folder import Run
from ctxenc.tracking import Tracker, check_installed

STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
MOST = 100  # parameters that MLflow takes at once


class MLflow(Tracker):
    """A run of an MLflow experiment.

    Args:
        folder: of the store, ``mlflow.db``, and of the pictures, where there is no `uri`.
        uri: of a server, or of another store; null: ``MLFLOW_TRACKING_URI``, or the folder.
        experiment: the experiment's name.
    """

    def __init__(self, folder: str, uri: str | None, experiment: str):
        check_installed("mlflow")
        self._folder, self._experiment = Path(folder), experiment
        self._uri = uri or os.environ.get("MLFLOW_TRACKING_URI")

    def begin(
        self, run: Run, config: Mapping[str, Any], start: int, known: str | None
    ) -> str | None:
        """Begin a run, or go on with the known one, whose parameters MLflow does not change."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read as it is imported
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        from mlflow import MlflowClient
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        if self._uri is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            artifacts = (self._folder / "mlartifacts").absolute().as_uri()
            with filelock.FileLock(self._folder / ".mlflow.lock"):  # several cannot make the tables
                self._client = MlflowClient(f"sqlite:///{self._folder / 'mlflow.db'}")
        else:
            artifacts = None  # a server has a place of its own
            self._client = MlflowClient(self._uri)
        if known is not None:
            with contextlib.suppress(MlflowException):  # the known run is in another store
                self._client.update_run(known, status="RUNNING")
                self._id = known
                return known
        with contextlib.suppress(MlflowException):  # it is there
            self._client.create_experiment(self._experiment, artifacts)
        experiment = self._client.get_experiment_by_name(self._experiment)
        tags = {"run_folder": str(run.path)}
        begun = self._client.create_run(experiment.experiment_id, None, tags, run.path.name)
        self._id = begun.info.run_id
        params = [Param(name, str(value)) for name, value in config.items()]
        for at in range(0, len(params), MOST):
            self._client.log_batch(self._id, params=params[at : at + MOST])
        return self._id

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Log metrics."""
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics)

    def grid(self, step: int, picture: Path) -> None:
        """Log an image of the step."""
        with Image.open(picture) as opened:
            self._client.log_image(self._id, opened, key="samples", step=step)

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """Log the summary as metrics of its step, and end the run."""
        self.figures(int(summary.get("step", 0)), summary)
        self._client.set_terminated(self._id, STATUS[state])
