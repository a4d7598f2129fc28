"""The same numbers for TensorBoard."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from ctxenc.runs.files import naming
from ctxenc.runs.folder import Run


class TensorBoard:
    """A run's TensorBoard file, opened by the first values.

    It is written by whoever calls: tensorboardX's own `SummaryWriter` has a thread, which a full
    disk ends, and for which it then waits for ever; and its `EventsWriter` stays open then.
    """

    def __init__(self, run: Run, start: int):
        self._folder, self._purge_step = run.tensorboard, start + 1
        self._file: Any = None

    def show(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step."""
        # These import PyTorch, where that is installed.
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.record_writer import RecordWriter

        shown = [
            Summary.Value(tag=f"{split}/{name}", simple_value=value)
            for name, value in values.items()
        ]
        with naming(self._folder):
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
                self._file = RecordWriter(str(self._folder / name))
                self._write(file_version="brain.Event:2")
                # Values from here on that an earlier process wrote are not shown.
                self._write(step=self._purge_step, session_log=SessionLog(status=SessionLog.START))
            self._write(step=step, summary=Summary(value=shown))
            self._file.flush()

    def _write(self, **of_event: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write(Event(wall_time=time.time(), **of_event).SerializeToString())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with naming(self._folder):
                self._file.close()
