"""Where a run happens: enough to say why two runs of one configuration differ."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("ctxenc", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "hydra-core", "numpy")


def environment() -> dict[str, Any]:
    """Versions, commit, devices, processes and command line."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "commit": _commit(),
        "devices": [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()],
        "processes": jax.process_count(),
        "command": sys.argv,
    }


def _commit() -> str | None:
    """The source checkout's commit, marked where the tree has changes; None outside of one."""
    if not (Path(__file__).parents[2] / ".git").exists():
        return None  # installed: a repository further up would be another project's
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    try:
        answer = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
