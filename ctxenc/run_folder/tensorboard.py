"""The same numbers for TensorBoard."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from ctxenc.run_folder.files import naming
from ctxenc.run_folder.folder import Run


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
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.record_writer import RecordWriter

        shown = [Summary.Value(tag=f"{split}/{n}", simple_value=v) for n, v in values.items()]
        events = [Event(step=step, summary=Summary(value=shown))]
        with naming(self._folder):
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
                self._file = RecordWriter(str(self._folder / name))
                # Values from here on that an earlier process wrote are not shown.
                start = SessionLog(status=SessionLog.START)
                purge = Event(step=self._purge_step, session_log=start)
                events = [Event(file_version="brain.Event:2"), purge, *events]
            for event in events:
                event.wall_time = time.time()
                self._file.write(event.SerializeToString())
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with naming(self._folder):
                self._file.close()
