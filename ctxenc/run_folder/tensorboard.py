"""TensorBoard: figures, sample grids, the configuration, and hyperparameters with their results."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from PIL import Image

from ctxenc.run_folder.files import naming
from ctxenc.run_folder.folder import Run
from ctxenc.tracking import Tracker

# What is of tensorboardX imports PyTorch, where that is installed.


class TensorBoard(Tracker):
    """A run's TensorBoard file.

    It is written by whoever calls: tensorboardX's own `SummaryWriter` has a thread, which a full
    disk ends, and for which it then waits for ever; and its `EventsWriter` stays open then.
    """

    def begin(
        self, run: Run, config: Mapping[str, Any], start: int, known: str | None
    ) -> str | None:
        """Show the configuration."""
        from tensorboardX import summary

        self._folder, self._config, self._start = run.tensorboard, config, start
        self._file: Any = None
        text = f"```yaml\n{OmegaConf.to_yaml(run.config)}```"
        self._write(start, summary.text("config", text))
        return None

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step."""
        self._write(step, _scalars(values))

    def grid(self, step: int, picture: Path) -> None:
        """Add a grid of samples, as it is in its file."""
        from tensorboardX.proto.summary_pb2 import Summary

        with Image.open(picture) as opened:
            sizes = {"width": opened.width, "height": opened.height, "colorspace": 3}
        image = Summary.Image(encoded_image_string=picture.read_bytes(), **sizes)
        self._write(step, Summary(value=[Summary.Value(tag="samples", image=image)]))

    def end(self, state: str, summary: Mapping[str, float]) -> None:
        """Add the hyperparameters with the summary's figures, and close the file."""
        from tensorboardX.summary import hparams

        known = (bool, int, float, str)
        config = {n: v if isinstance(v, known) else str(v) for n, v in self._config.items()}
        *described, success = hparams(config, summary)
        try:
            if summary:
                ended = [success] if state == "finished" else []
                self._write(int(summary["step"]), *described, _scalars(summary), *ended)
        finally:  # also where the disk is full: Python would try again when it collects the file
            if self._file is not None:
                with naming(self._folder):
                    self._file.close()

    def _write(self, step: int, *summaries: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        events = [Event(step=step, summary=summary) for summary in summaries]
        with naming(self._folder):
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
                self._file = RecordWriter(str(self._folder / name))
                # Values from here on that an earlier process wrote are not shown.
                start = SessionLog(status=SessionLog.START)
                purge = Event(step=self._start + 1, session_log=start)
                events = [Event(file_version="brain.Event:2"), purge, *events]
            for event in events:
                event.wall_time = time.time()
                self._file.write(event.SerializeToString())
            self._file.flush()


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=n, simple_value=v) for n, v in values.items()])
