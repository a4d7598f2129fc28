"""A fault of XLA on the CPU, switched off by its flag before JAX starts.

XLA hands reductions on the CPU to YNNPACK. jaxlib 0.10.2 then computes some batched products that
are summed wrongly (https://github.com/jax-ml/jax/issues/39103; 0.10.1 is right), and 0.10.2 and
0.11.0 crash or hang on some of many axes (issues 39257 and 40412), which a step over several runs
at once has. Both know the flag, and of those that ctxenc allows from 0.11.1 to 0.12.0.1 none shows
the fault, so no other version is given it: XLA ends a process over a flag that it does not know.
"""

import contextlib
import os
import sys
from importlib import metadata
from pathlib import Path

FAULTY = ("0.10.2", "0.11.0")  # of jaxlib
NAME = "xla_cpu_experimental_ynn_fusion_type"
FLAG = f"--{NAME}=-reduce"  # all that YNNPACK is given but reductions: products stay


def guard() -> bool:
    """Add `FLAG` to ``XLA_FLAGS`` where jaxlib has the fault; whether it is now switched off.

    The user's own flags stay, and their choice of this one wins. Once JAX has a backend XLA does
    not read them any more: then nothing is changed.
    """
    given = os.environ.get("XLA_FLAGS", "").strip()
    if given and not given.startswith("-"):  # a file of flags, as XLA has it
        with contextlib.suppress(OSError):
            given = Path(given).read_text().strip()
    if metadata.version("jaxlib") not in FAULTY or NAME in given:
        return True
    if "jax" in sys.modules:
        from jax._src import xla_bridge  # there is no public question for it

        if xla_bridge.backends_are_initialized():
            return False
    os.environ["XLA_FLAGS"] = f"{given} {FLAG}".strip()
    return True


GUARDED = guard()
