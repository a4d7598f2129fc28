"""Train, sweep and compare Context Encoders (Pathak et al., 2016).

From Python, a run is one call with the overrides of the command line::

    import ctxenc

    run = ctxenc.run("mask=random", "max_steps=200")
    run.summary["last"]["psnr_db"]
"""

import os
import sys
from typing import TYPE_CHECKING, Any

# A larger picture is taken for a decompression bomb, as in `data.image_files`. OpenCV, with which
# TFDS decodes, reads this when it is imported: so it is set before anything else of ours is.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")

# `python -m ctxenc.train`, or a script ctxenc-train, whose further imports take seconds. Nobody
# else's process: it may import this package, and its signals are its own.
_module = any(argument.startswith("ctxenc.") for argument in sys.orig_argv[1:])
_script = "".join(sys.argv[:1]).rpartition("/")[2]
if _module if _script == "-m" else _script.startswith("ctxenc-"):
    from ctxenc import cli

    cli.start()

if TYPE_CHECKING:
    from ctxenc.launch import run
    from ctxenc.runs.folder import Run

__all__ = ["Run", "run"]


def __getattr__(name: str) -> Any:
    """Import JAX and the rest only once a run is asked for."""
    if name == "run":
        from ctxenc.launch import run

        return run
    if name == "Run":
        from ctxenc.runs.folder import Run

        return Run
    raise AttributeError(f"module 'ctxenc' has no attribute {name!r}")
