"""The run folder: the one module that knows its files, for writers and readers alike.

Every file is plain and readable without ctxenc. Whole files are written atomically (a temporary
file, then a rename); ``metrics.jsonl`` grows by whole lines, and readers skip a torn last one.
Of several processes that train one run, the first writes, and the others' writers do nothing.
"""

import contextlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
from omegaconf import DictConfig, OmegaConf

from ctxenc.config import references
from ctxenc.errors import UserError
from ctxenc.parallel.processes import is_main
from ctxenc.runs import logs, safe_read
from ctxenc.runs.atomic_write import append_line, overwrite_text, write_text

FORMAT = 1  # of run folders and sweeps: a change that an older version cannot read adds 1
STATUS: dict[str, tuple[Any, Any]] = {  # the kind of each value, and what stands for an unknown one
    "state": (str, None),
    "step": (int, 0),
    "seconds": ((int, float), 0.0),
    "error": (str, None),
}


class LockedError(UserError):
    """Another process trains in the folder: nothing of it is ours to change."""


class Run:
    """One run folder. Opening it reads nothing; each method reads or writes one file."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).absolute()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    # Readers

    @property
    def config(self) -> DictConfig:
        """The composed configuration, as saved.

        Raises:
            UserError: the folder is not a run, or its configuration cannot be read.
        """
        file = self.path / ".hydra" / "config.yaml"
        try:
            config = OmegaConf.load(io.StringIO(safe_read.yaml_text(file)))
        except UserError:
            raise
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: not a run folder (it has no .hydra/config.yaml)"
            ) from None
        except Exception as error:  # YAML and OmegaConf raise many kinds
            raise UserError(f"{file}: not readable as YAML ({type(error).__name__})") from None
        if not isinstance(config, DictConfig):
            raise UserError(f"{file}: expected a mapping of keys, and this is a list")
        try:
            references.check(OmegaConf.to_container(config))  # type: ignore[arg-type]
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        return config

    @property
    def status(self) -> dict[str, Any]:
        """`state` (running, finished, failed or interrupted), `step`, `seconds` and `error`."""
        return self._read_json("status.json")

    @property
    def known_status(self) -> dict[str, Any]:
        """`status` as far as it can be read; a state of None where nothing is known of it."""
        try:
            found = self.status
        except UserError:
            found = {}
        return {
            name: found[name] if isinstance(found.get(name), kind) else unknown
            for name, (kind, unknown) in STATUS.items()
        }

    @property
    def state(self) -> str | None:
        """The state of `status`; None before there is any, and where it cannot be read."""
        state: str | None = self.known_status["state"]
        return state

    @property
    def summary(self) -> dict[str, Any]:
        """`step`, and the test metrics under `last` and `best`."""
        return self._read_json("summary.json")

    @property
    def dataset(self) -> dict[str, Any]:
        """What it was trained and tested on: names, sizes, fingerprints."""
        return self._read_json("dataset.json")

    def metrics(self, split: str | None = None) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``: all, or those of one split (`train` or `test`)."""
        try:
            text = safe_read.text(self._metrics_file, safe_read.MOST_LINES, errors="replace")
        except FileNotFoundError:
            return []
        lines = []
        for line in text.split("\n"):
            with contextlib.suppress(ValueError, RecursionError):  # a torn or damaged line
                lines.append(json.loads(line))
        lines = [line for line in lines if isinstance(line, dict) and "step" in line]
        return [line for line in lines if split is None or line.get("split") == split]

    @property
    def log_file(self) -> Path:
        """The log, with tracebacks."""
        return self.path / "train.log"

    @property
    def curves(self) -> Path:
        """The picture of the loss curves."""
        return self.path / "curves.png"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def samples(self) -> Path:
        """The folder of sample grids, ``<step>.png``."""
        return self.inside(str(self.config.get("samples_dir")))

    @property
    def checkpoints(self) -> Path:
        """The folder of Orbax checkpoints, one a step."""
        return self.inside(str(self.config.get("save_dir")))

    def sample(self, step: int) -> Path:
        """The sample grid of a step."""
        return self.samples / sample_name(step)

    # Writers

    def write_config(self, config: DictConfig, overrides: list[str] | None = None) -> None:
        """The configuration and the overrides, where Hydra puts those of the jobs it starts."""
        write_text(self.path / ".hydra" / "config.yaml", OmegaConf.to_yaml(config))
        if overrides is not None:
            write_text(self.path / ".hydra" / "overrides.yaml", OmegaConf.to_yaml(overrides))

    def write_status(
        self, state: str, *, step: int, seconds: float, error: str | None = None
    ) -> None:
        """`state` is running, finished, failed or interrupted; `seconds` of all its sittings.

        A full disk does not keep it from being true.
        """
        status: dict[str, Any] = {"format": FORMAT, "state": state, "step": step}
        status |= {"seconds": round(seconds, 3), "error": error}
        try:
            self._write_json("status.json", status)
        except OSError:
            if not (self.path / "status.json").exists():
                raise
            overwrite_text(self.path / "status.json", _json(status))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """The test metrics, best and last."""
        self._write_json("summary.json", summary)

    def write_dataset(self, description: dict[str, Any]) -> None:
        """What the run is trained and tested on."""
        self._write_json("dataset.json", description)

    def write_environment(self) -> None:
        """Versions, commit, devices and command line."""
        from ctxenc.runs.environment import environment  # JAX: reading a run does not wait for it

        self._write_json("env.json", environment())

    def append_metrics(self, record: dict[str, Any]) -> None:
        """One more line of ``metrics.jsonl``."""
        append_line(self._metrics_file, json.dumps(record, allow_nan=False))

    def keep_metrics(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the other lines, which a resumed run is about to write again."""
        kept = [json.dumps(line) + "\n" for line in self.metrics() if wanted(line)]
        write_text(self._metrics_file, "".join(kept))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training here; the lock dies with its process.

        Who has it may take it again within: a job of a sweep has it from before it trains.

        Raises:
            LockedError: another process (or thread) is at it.
        """
        if not is_main():
            yield
            return
        try:
            with filelock.FileLock(self.path / ".lock", blocking=False, is_singleton=True):
                yield
        except filelock.Timeout:
            raise LockedError(f"{self.path}: another process is training this run") from None

    def logging(self, console: logging.Handler) -> contextlib.AbstractContextManager[None]:
        """While open, ctxenc's log goes to `console` and, with tracebacks, to ``train.log``."""
        return logs.to(self.log_file, console)

    def inside(self, name: str) -> Path:
        """A folder of that name: inside of this one, unless it is absolute."""
        return self.path / Path(name).expanduser()

    @property
    def _metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    def _read_json(self, name: str) -> dict[str, Any]:
        file = self.path / name
        try:
            value = json.loads(safe_read.text(file, safe_read.MOST_JSON))
        except FileNotFoundError:
            raise UserError(f"{file}: no such file; is {self.path} a run folder?") from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{file}: not readable as JSON ({type(error).__name__})") from None
        if not isinstance(value, dict):
            raise UserError(f"{file}: expected a JSON object")
        return value

    def _write_json(self, name: str, value: dict[str, Any]) -> None:
        write_text(self.path / name, _json(value))


def sample_name(step: int) -> str:
    """The file of a step's sample grid."""
    return f"{step:07d}.png"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
