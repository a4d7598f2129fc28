"""Weights & Biases, offline unless asked: ``wandb sync`` sends what is in the run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctxenc.errors import UserError
from ctxenc.run_folder.folder import Run
from ctxenc.tracking import Tracker, check_installed

EXIT_CODE = {"finished": 0, "failed": 1, "interrupted": 255}  # 255 is its own for Ctrl-C


class WandB(Tracker):
    """A run of a W&B project.

    Args:
        mode: ``offline`` or ``online``.
        project: its name.
        entity: the user or team; null: the one that is logged in.
    """

    def __init__(self, mode: str, project: str, entity: str | None):
        check_installed("wandb")
        if mode not in ("offline", "online"):
            raise UserError(f"tracker.mode={mode}: expected offline or online")
        self._mode, self._project, self._entity = mode, project.replace("/", "-"), entity

    def begin(
        self, run: Run, config: Mapping[str, Any], start: int, known: str | None
    ) -> str | None:
        """Begin a run, or another part of the known one."""
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            mode=self._mode,
            project=self._project,
            entity=self._entity,
            dir=run.own(run.wandb.name).parent,
            id=known,
            resume="allow",
            name=run.path.name,
            notes=str(run.path),
            config=dict(config),
            allow_val_change=True,
            reinit="create_new",  # a notebook's own run goes on
            settings=wandb.Settings(console="off", silent=True),
        )
        return self._run.id

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Log values."""
        self._run.log(dict(values), step=step)

    def grid(self, step: int, picture: Path) -> None:
        """Log an image."""
        self._run.log({"samples": self._wandb.Image(str(picture))}, step=step)

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """Log the summary and the state, and end the run."""
        self._run.summary.update({**summary, "state": state})
        self._run.finish(exit_code=EXIT_CODE[state])
