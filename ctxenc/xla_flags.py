"""XLA's flags that ctxenc sets before JAX starts: a fault on the CPU, and graphs on a GPU.

XLA hands reductions on the CPU to YNNPACK. jaxlib 0.10.2 then computes some batched products that
are summed wrongly (https://github.com/jax-ml/jax/issues/39103; 0.10.1 is right), and 0.10.2 and
0.11.0 crash or hang on some of many axes (issues 39257 and 40412), which a step over several runs
at once has. Both know the flag, and of those that ctxenc allows from 0.11.1 to 0.12.0.1 none shows
the fault, so no other version is given it: XLA ends a process over a flag that it does not know.

On a GPU XLA starts a program's kernels as CUDA graphs, but leaves convolutions out of these unless
it is told otherwise (https://github.com/openxla/xla/pull/34572), so that a step is cut into a
hundred of them. `docs/performance.md` has what that costs.
"""

import contextlib
import importlib.util
import os
import re
import sys
from importlib import metadata
from pathlib import Path

FAULTY = ("0.10.2", "0.11.0")  # of jaxlib
NAME = "xla_cpu_experimental_ynn_fusion_type"
FLAG = f"--{NAME}=-reduce"  # all that YNNPACK is given but reductions: products stay
CUDA = ("jax_cuda12_plugin", "jax_cuda13_plugin")
GRAPHS = "xla_gpu_enable_command_buffer"
WHOLE_GRAPHS = f"--{GRAPHS}=+CONVOLUTION"  # beside what is in them by default
GRAPHS_SINCE = (0, 10, 2)  # jaxlib's version, whose XLA knows the value


def guard() -> bool:
    """Add to ``XLA_FLAGS`` what this jaxlib needs; whether the fault, if it has it, is off now.

    The user's own flags stay, and their choice of one of these wins. Once JAX has a backend XLA
    does not read them any more: then nothing is changed.
    """
    given = os.environ.get("XLA_FLAGS", "").strip()
    if given and not given.startswith("-"):  # a file of flags, as XLA has it
        with contextlib.suppress(OSError):
            given = Path(given).read_text().strip()
    jaxlib = metadata.version("jaxlib")
    wanted = [FLAG] if jaxlib in FAULTY and NAME not in given else []
    known = tuple(map(int, re.findall(r"\d+", jaxlib)[:3])) >= GRAPHS_SINCE
    if known and GRAPHS not in given and any(map(importlib.util.find_spec, CUDA)):
        wanted.append(WHOLE_GRAPHS)
    if not wanted:
        return True
    if "jax" in sys.modules:
        from jax._src import xla_bridge  # there is no public question for it

        if xla_bridge.backends_are_initialized():
            return FLAG not in wanted
    os.environ["XLA_FLAGS"] = " ".join([given, *wanted]).strip()
    return True


GUARDED = guard()
