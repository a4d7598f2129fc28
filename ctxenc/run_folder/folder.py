"""The run folder: the one module that knows its files, for writers and readers alike.

Every file is plain and readable without ctxenc. Whole files are written atomically (a temporary
file, then a rename); ``metrics.jsonl`` grows by whole lines, and readers skip a torn last one.
Of several processes that train one run, the first writes, and the others' writers do nothing.
"""

import contextlib
import fcntl
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import filelock
from omegaconf import DictConfig, OmegaConf

from ctxenc.config import references
from ctxenc.errors import UserError, printable
from ctxenc.metrics.registry import METRICS
from ctxenc.parallel.processes import is_main
from ctxenc.paths import expanded
from ctxenc.run_folder import environment, files
from ctxenc.run_folder.files import COUNT, NUMBER, TEXT

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FORMAT = 2  # of run folders and sweeps: a change that an older version cannot read adds 1
VALIDATED = 2  # the format since which runs have a validation split
STATUS = {"format": COUNT, "state": TEXT, "step": COUNT, "seconds": NUMBER, "error": TEXT}
UNKNOWN = {"state": None, "step": 0, "seconds": 0.0, "error": None}  # what stands for them
FIGURES = {**dict.fromkeys(METRICS, NUMBER), "step": COUNT}
SUMMARY = {
    "last": FIGURES,
    "best": FIGURES,
    "baselines": {files.OTHERS: FIGURES},
    "chance_loss": NUMBER,
}
COLOUR = files.Kind(
    "three numbers", lambda v: isinstance(v, list) and len(v) == 3 and all(map(files.is_number, v))
)
DATASET = dict.fromkeys(
    [f"{split}_fingerprint" for split in ("train", "validation", "test")] + ["mask_hash"], TEXT
) | {"mean_colour": COLOUR}
BEGUN = {"hydra": {"job": {"config_name": TEXT}}}  # what is read of hydra.yaml
LINE = {"step": COUNT, "split": TEXT}  # of the metrics, beside its figures


class LockedError(UserError):
    """Another process trains in the folder: nothing of it is ours to change."""


class Run:
    """One run folder. Opening it reads nothing; each method reads or writes one file.

    `path` is the folder; in it, `log_file` is the log with tracebacks, `curves` a picture, and
    `tensorboard` and `wandb` the folders of these.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).absolute()
        self.log_file = self.path / "train.log"
        self.curves = self.path / "curves.png"
        self.tensorboard = self.path / "tensorboard"
        self.wandb = self.path / "wandb"
        self._trackers_file = self.path / "trackers.json"
        self._metrics_file = self.path / "metrics.jsonl"

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    # Readers

    @property
    def title(self) -> str:
        """The last two parts of its path: a run's name and time, or a sweep's time and the job."""
        return printable("/".join(self.path.parts[-2:]))

    @property
    def config(self) -> DictConfig:
        """The composed configuration, as saved; a `UserError` where it cannot be read."""
        file = self.path / ".hydra" / "config.yaml"
        try:
            config = OmegaConf.load(io.StringIO(files.read_yaml_text(file)))
        except UserError:
            raise
        except FileNotFoundError:
            raise UserError(
                f"{self.path}: not a run folder (it has no .hydra/config.yaml)"
            ) from None
        except OSError as error:  # a link to itself, say
            raise UserError(f"{file}: {error.strerror}") from None
        except Exception as error:  # YAML and OmegaConf raise many kinds
            raise UserError(f"{file}: not readable as YAML ({type(error).__name__})") from None
        try:
            references.check(files.checked(OmegaConf.to_container(config), {}))
        except (UserError, ValueError) as error:
            raise UserError(f"{file}: {error}") from None
        assert isinstance(config, DictConfig)
        return config

    @property
    def config_name(self) -> str | None:
        """The configuration file that it began with; None where that was not saved."""
        with contextlib.suppress(UserError, KeyError, TypeError):
            found = files.read_yaml(self.path / ".hydra" / "hydra.yaml", BEGUN)
            name: str | None = found["hydra"]["job"]["config_name"]
            return name
        return None

    @property
    def status(self) -> dict[str, Any]:
        """`state` (running, finished, failed or interrupted), `step`, `seconds` and `error`."""
        return self._json("status.json", STATUS)

    @property
    def known_status(self) -> dict[str, Any]:
        """`status` as far as it can be read; a state of None where nothing is known of it."""
        found: dict[str, Any] = {}
        with contextlib.suppress(UserError):
            found = self._json("status.json", {})
        known = {name: value for name, value in found.items() if name in UNKNOWN}
        return UNKNOWN | {name: v for name, v in known.items() if STATUS[name].holds(v)}

    @property
    def state(self) -> str | None:
        """The state of `status`; None before there is any, and where it cannot be read."""
        return self.known_status["state"]

    @property
    def is_locked(self) -> bool:
        """Whether a process trains here (`lock`): one that was killed has it no more."""
        try:
            lock = os.open(self.path / ".lock", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    @property
    def summary(self) -> dict[str, Any]:
        """`step`, and the validation metrics under `last`, `best` and `baselines`.

        `chance_loss` is that of a discriminator that cannot tell real from filled.
        """
        return self._json("summary.json", SUMMARY)

    @property
    def dataset(self) -> dict[str, Any]:
        """What it was trained and validated on: sizes, fingerprints, colour, hash of the masks."""
        return self._json("dataset.json", DATASET)

    @property
    def tracker_ids(self) -> dict[str, str]:
        """What trackers know the run by, by their classes; empty where that cannot be read."""
        with contextlib.suppress(UserError):
            return dict(files.read_json(self._trackers_file, {files.OTHERS: TEXT}))
        return {}

    def metrics(self, split: Literal["train", "validation"] | None = None) -> "pd.DataFrame":
        """The run's curves: a row a line of ``metrics.jsonl``, by its step.

        Columns are `split`, `epoch` and the figures, numbers all; what a line does not have is
        missing. ``run.metrics("validation")["psnr_db"].plot()`` draws one of them.

        Args:
            split: only these lines; both by default.

        Raises:
            UserError: another split, or a file that cannot be read.
        """
        import pandas as pd  # slow to import

        if split not in (None, "train", "validation"):
            raise UserError(f"split={split}: expected train or validation")
        rows = [
            {k: v for k, v in line.items() if k in LINE or files.is_number(v)}
            for line in self.lines(split)
        ]
        return pd.DataFrame(rows, columns=None if rows else [*LINE]).set_index("step")

    def plot(self) -> "Figure":
        """The picture of ``curves.png``, of what has been logged by now.

        A notebook shows it, whatever Matplotlib's backend is; pyplot is not imported.
        """
        from ctxenc.baselines import to_beat
        from ctxenc.report import curves

        summary: dict[str, Any] = {}
        with contextlib.suppress(UserError):
            summary = self.summary
        fills = summary.get("baselines") or {}
        levels = {metric: to_beat(fills, metric) for metric in curves.VALIDATED}
        lines = self.lines("train"), self.lines("validation")
        return curves.draw(self.title, *lines, levels, summary.get("chance_loss"))

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from ctxenc.comparison import card

        return card.html(self)

    def lines(self, split: str | None = None, last_bytes: int = 0) -> list[dict[str, Any]]:
        """As `each_line`, all at once."""
        return list(self.each_line(split, last_bytes))

    def each_line(self, split: str | None = None, last_bytes: int = 0) -> Iterator[dict[str, Any]]:
        """The lines of ``metrics.jsonl``: all, or those of `train` or `validation`.

        With `last_bytes`, those at its end.
        Runs of format 1 had no validation split: what they have instead are lines of `test`.
        """
        splits = {"train": ("train",), "validation": ("validation", "test")}
        for line in files.read_lines(self._metrics_file, LINE, last_bytes):
            known = None not in (line.get("step"), line.get("split"))
            if known and (split is None or line["split"] in splits[split]):
                yield line

    @property
    def samples(self) -> Path:
        """The folder of sample grids."""
        return self.inside(str(self.config.get("samples_dir")))

    @property
    def checkpoints(self) -> Path:
        """The folder of Orbax checkpoints, one a step."""
        return self.inside(str(self.config.get("save_dir")))

    def sample(self, step: int) -> Path:
        """The sample grid of a step."""
        return self.samples / sample_name(step)

    def inside(self, name: str) -> Path:
        """A folder of that name: inside of this one, unless it is absolute."""
        return self.path / expanded(name)

    def own(self, name: str) -> Path:
        """A folder to write to, as `inside`; a `UserError` where a link there leads out of this."""
        folder = self.inside(name)
        inside = Path(os.path.normpath(folder)).is_relative_to(os.path.normpath(self.path))
        if inside and not folder.resolve().is_relative_to(self.path.resolve()):
            raise UserError(f"{folder}: a link out of {self.path}, where nothing is written")
        return folder

    def _json(self, name: str, schema: files.Schema) -> dict[str, Any]:
        found: dict[str, Any] = files.read_json(self.path / name, schema)
        return found

    # Writers

    def write_config(
        self,
        config: DictConfig,
        overrides: list[str] | None = None,
        config_name: str | None = None,
    ) -> None:
        """The configuration, and the overrides and the file it began with: where Hydra has them."""
        folder = self.own(".hydra")
        files.write_text(folder / "config.yaml", OmegaConf.to_yaml(config))
        if overrides is not None:
            files.write_text(folder / "overrides.yaml", OmegaConf.to_yaml(overrides))
        if config_name is not None:
            begun = {"hydra": {"job": {"config_name": config_name}}}
            files.write_text(folder / "hydra.yaml", OmegaConf.to_yaml(begun))

    def write_status(
        self, state: str, *, step: int, seconds: float, error: str | None = None
    ) -> None:
        """`state` is running, finished, failed or interrupted; `seconds` of every process.

        On a full disk the file that is there is written over in place.
        """
        file = self.path / "status.json"
        status = {"format": FORMAT, "state": state, "step": step}
        text = json.dumps({**status, "seconds": round(seconds, 3), "error": error}, indent=2) + "\n"
        try:
            files.write_text(file, text)
        except OSError:
            if not file.exists():
                raise
            files.overwrite_text(file, text)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """The validation metrics, best and last."""
        files.write_json(self.path / "summary.json", summary)

    def write_dataset(self, description: dict[str, Any]) -> None:
        """What the run is trained and validated on."""
        files.write_json(self.path / "dataset.json", description)

    def write_environment(self, init_from: dict[str, Any] | None = None) -> None:
        """`environment.describe`, and which weights of another run it began with."""
        files.write_json(self.path / "env.json", environment.describe() | {"init_from": init_from})

    def write_tracker_ids(self, ids: dict[str, str]) -> None:
        """What trackers know the run by."""
        files.write_json(self._trackers_file, ids)

    def append_metrics(self, record: dict[str, Any]) -> None:
        """One more line of ``metrics.jsonl``."""
        files.append_line(self._metrics_file, json.dumps(record, allow_nan=False))

    def keep_metrics(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the other lines, which a resumed run is about to write again."""
        kept = [json.dumps(line) + "\n" for line in self.lines() if wanted(line)]
        files.write_text(self._metrics_file, "".join(kept))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training here; the lock dies with its process.

        A process may take it again while it has it: a sweep's job takes it before it trains. Where
        another process (or thread) has it, this is a `LockedError`.
        """
        lock = filelock.FileLock(self.path / ".lock", blocking=False, is_singleton=True)
        try:
            with lock if is_main() else contextlib.nullcontext():
                yield
        except filelock.Timeout:
            raise LockedError(f"{self.path}: another process is training this run") from None


def sample_name(step: int) -> str:
    """The file of a step's sample grid."""
    return f"{step:07d}.png"
