"""A disk that is full, and one that cannot be written: real ones, in a mount namespace."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def on_a_disk_of_its_own(size, disk, *command, cwd):
    """Run a command that has a small disk at a folder; it is gone when the command ends."""
    disk.mkdir(exist_ok=True)
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", size, disk, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `full_disk.py` found, by fault."""
    folder = tmp_path_factory.mktemp("disk")
    if shutil.which("unshare") is None:
        pytest.skip("a small disk takes unshare, of util-linux")
    probe = on_a_disk_of_its_own("1M", folder / "probe", "true", cwd=folder)
    if probe.returncode:
        pytest.skip(f"a small disk takes the right to mount one: {probe.stderr.strip()}")
    command = [sys.executable, "-m", "tests.faults.full_disk", folder / "disk"]
    done = on_a_disk_of_its_own("16M", folder / "disk", *command, cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = {line["fault"]: line for line in map(json.loads, done.stdout.splitlines())}
    return {**lines, "stderr": done.stderr}


WRITING = {
    "checkpoint": "checkpoints: a checkpoint cannot be written",
    "grid": "samples/0000013.png",
    "line": "metrics.jsonl",
}


def test_a_disk_that_is_full_or_cannot_be_written_is_named_and_costs_little(found):
    """One test, so that several workers do not each run what all of it looks at.

    A picture is written in the background: the run may stop at another file, and then it is told
    of beside.
    """
    assert "Traceback" not in found["stderr"]
    for fault, names in WRITING.items():
        told = found[fault]
        assert told["kind"] in ("OSError", "UserError"), told
        assert names in (found["stderr"] if fault == "grid" else told["message"])
        assert "No space left on device" in told["message"]
        assert "\n" not in told["message"]
        assert told["status"]["state"] == "failed"
        assert "No space left on device" in told["status"]["error"]
        assert told["saved"]  # and read back to the bit, there
        assert told["lines"].endswith("}\n")
        assert not [name for name in told["pictures"] if name.startswith(".")]
        assert told["resumed"] == {"kind": None, "message": ""}
    for fault in ("new run", "resume"):
        assert "Read-only file system" in found[fault]["message"], found[fault]
    assert found["afterwards"]["state"] == "finished"
