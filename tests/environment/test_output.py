"""Terminals and pipes that go away, and those that lack letters."""

import errno
import io
import logging
import os
import sys

import pytest

from ctxenc.output import GONE, Lasting, standard_streams
from ctxenc.report.progress import Bar


class Broken(io.StringIO):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))

    def flush(self):
        self.write("")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_progress_stops_nothing_whatever_its_stream_does(monkeypatch, number):
    monkeypatch.setattr(sys, "stderr", Broken(number))
    with Bar(10, steps_per_epoch=5, batch_size=2) as bar:
        bar.handler().emit(logging.makeLogRecord({"msg": "told"}))
        bar.step(10)
        bar.show({"step": 10, "epoch": 2.0, "generator_loss": 0.1})


def test_progress_stops_nothing_without_a_stream(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Bar(10, steps_per_epoch=5, batch_size=2) as bar:
        bar.show({"step": 10, "epoch": 2.0, "generator_loss": 0.1})


def test_standard_output_may_be_left_unread_but_not_unwritten():
    Lasting(Broken(errno.EPIPE), GONE).write("x")  # | head
    with pytest.raises(OSError, match="No space left"):
        Lasting(Broken(errno.ENOSPC), GONE).write("x")


def printed(text, encoding):
    bytes_ = io.BytesIO()
    stream = io.TextIOWrapper(bytes_, encoding)
    before, sys.stdout = sys.stdout, stream
    try:
        with standard_streams():
            print(text, end="")
        assert sys.stdout is stream
    finally:
        sys.stdout = before
    return bytes_.getvalue()


def test_a_terminal_without_the_letters_gets_others_and_names_keep_their_bytes():
    name = os.fsdecode(b"photo-\xff.png")
    assert printed(f"−0.07 ± 1 × {name} λ", "ascii") == b"-0.07 +/- 1 x photo-\xff.png \\u03bb"
    assert printed(f"−0.07 é {name}", "latin-1") == b"-0.07 \xe9 photo-\xff.png"
    assert printed(f"−0.07 {name}", "utf-8") == "−0.07 photo-".encode() + b"\xff.png"
