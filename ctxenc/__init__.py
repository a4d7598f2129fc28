"""Train, sweep and compare Context Encoders (Pathak et al., 2016).

From Python, a run is one call with the overrides of the command line, runs are a pandas table, and
a trained model fills images of any size::

    import ctxenc

    run = ctxenc.run("mask=random", "max_steps=200")
    ctxenc.runs("experiments").sort_values("validation.last.psnr_db")
    filled = ctxenc.load(run.path).fill(image, mask)
"""

import importlib
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

from ctxenc import xla_flags  # noqa: E402, F401  # sets them, before anything can start JAX

if TYPE_CHECKING:
    from ctxenc.comparison.frame import runs
    from ctxenc.errors import UserError
    from ctxenc.inpainting.painter import load
    from ctxenc.launch import run
    from ctxenc.run_folder.folder import Run

    __version__: str

__all__ = ["Run", "UserError", "__version__", "load", "run", "runs"]

_HOMES = {  # imported, with JAX and the rest, only once they are asked for
    "Run": "ctxenc.run_folder.folder",
    "UserError": "ctxenc.errors",
    "load": "ctxenc.inpainting.painter",
    "run": "ctxenc.launch",
    "runs": "ctxenc.comparison.frame",
}


def __getattr__(name: str) -> Any:
    """A public name, where it is."""
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("ctxenc")
        except metadata.PackageNotFoundError:
            return "of a source tree"  # on the path, never installed
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ctxenc' has no attribute {name!r}")
