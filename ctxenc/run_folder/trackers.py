"""What a run tells its trackers: TensorBoard, and the one that is chosen (`ctxenc.tracking`)."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ctxenc.config import schema
from ctxenc.config.schema import Role
from ctxenc.errors import UserError
from ctxenc.run_folder.files import is_number
from ctxenc.run_folder.folder import Run
from ctxenc.run_folder.session import Background
from ctxenc.run_folder.tensorboard import TensorBoard
from ctxenc.tracking import Tracker

log = logging.getLogger(__name__)


class Trackers(AbstractContextManager["Trackers"]):
    """The trackers of a run that continues from `start`; told, at the end, how it ended.

    The methods are for the background, one after the other. What fails in a tracker is one warning.
    """

    def __init__(self, run: Run, chosen: Tracker, start: int, background: Background):
        self._run, self._start, self._background = run, start, background
        self._by_name = {_name(tracker): tracker for tracker in (TensorBoard(), chosen)}
        self._begun, self._failed = False, set[str]()

    def begin(self) -> None:
        """Begin, with the configuration as it is saved by now."""
        self._begun = True
        config: Any = OmegaConf.to_container(self._run.config, resolve=True)
        for place in schema.keys(lambda key: key.role is Role.LOCATION):
            config.pop(place, None)
        flat, ids = _flat(config, "."), self._run.tracker_ids
        for name, tracker in self._by_name.items():
            with self._warned(name):
                found = tracker.begin(self._run, flat, self._start, ids.get(name))
                if found is not None and found != ids.get(name):
                    ids[name] = str(found)
                    self._run.write_tracker_ids(ids)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Pass on the figures of a step."""
        for name, tracker in self._by_name.items():
            with self._warned(name):
                tracker.figures(step, values)

    def grid(self, step: int, picture: Path) -> None:
        """Pass on a grid of samples that has been written."""
        for name, tracker in self._by_name.items():
            with self._warned(name):
                tracker.grid(step, picture)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Have them told how the run ended."""
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt)
        state = "interrupted" if stopped else "failed" if kind else "finished"
        self._background.submit(self._end, state)

    def _end(self, state: str) -> None:
        summary: dict[str, Any] = {}
        with contextlib.suppress(UserError):  # there was no validation
            summary = _flat(self._run.summary, "/")
        figures = {name: value for name, value in summary.items() if is_number(value)}
        for name, tracker in self._by_name.items() if self._begun else ():
            with self._warned(name):
                tracker.end(state, figures)

    @contextlib.contextmanager
    def _warned(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if name not in self._failed:
                self._failed.add(name)
                log.debug("not tracked", exc_info=error)
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                log.warning("%s lacks something of this run: %s", name.rpartition(".")[2], reason)


def _name(tracker: Tracker) -> str:
    return f"{type(tracker).__module__}.{type(tracker).__qualname__}"


def _flat(node: Mapping[str, Any], mark: str, above: str = "") -> dict[str, Any]:
    """The values of a nested mapping by the names of all keys above them."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        inside = isinstance(value, dict) and value
        found |= _flat(value, mark, f"{above}{key}{mark}") if inside else {f"{above}{key}": value}
    return found
