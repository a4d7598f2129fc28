import os
import subprocess
import sys

import pytest

# Page faults of 20 times 64 MB, before and after.
PROGRAM = """
import resource, numpy as np
from ctxenc.runtime import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(1 << 26, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
kept = keep_memory()
faults()  # the memory that is kept from now on has to be had once
print(kept, faults() < before / 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, "True True"), ({"MALLOC_ARENA_MAX": "4"}, "False False")],
    ids=["ours", "the user's"],
)
def test_freed_memory_is_kept_unless_the_user_has_set_malloc(settings, expected):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**clean, "JAX_PLATFORMS": "cpu", **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected
