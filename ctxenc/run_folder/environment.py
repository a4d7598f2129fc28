"""Where a process runs: why two runs of one configuration may differ."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import ctxenc

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "hydra-core", "numpy")


def describe() -> dict[str, Any]:
    """Versions, commit, devices, XLA's flags and command line."""
    import jax  # takes a while, which reading a run need not wait for

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {
            "ctxenc": ctxenc.__version__,
            **{name: metadata.version(name) for name in PACKAGES},
        },
        "commit": _commit(),
        "devices": [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()],
        "processes": jax.process_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "command": sys.argv,
    }


def _commit() -> str | None:
    """The source checkout's commit, marked where the tree has changes; None outside of one."""
    here = Path(__file__).parent
    if not (here.parents[1] / ".git").exists():
        return None  # installed: a repository further up would be another project's
    git = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(
            git, cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
