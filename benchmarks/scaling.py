"""How the cost of a step grows with batch, width, image size, precision and devices.

    python benchmarks/scaling.py

Each row is a process of its own: bare steps, as in `end_to_end.py`. Devices are virtual ones, which
share this machine's cores: their row shows what sharing a batch costs, not what it gains.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

WIDE = "model.generator.widths=[{0},{1},{2}] model.generator.decoder_widths=[{2},{1}]"
ROWS = {
    "default: batch 64, 32 pixels, widths 128–512": "",
    "batch 16": "batch_size=16",
    "batch 32": "batch_size=32",
    "batch 128": "batch_size=128",
    "half the width": WIDE.format(64, 128, 256),
    "twice the width": WIDE.format(256, 512, 1024),
    "64 pixels, hole 32": "image_size=64 mask_height=32 mask_width=32",
    "loss=reconstruction": "loss=reconstruction",
    "precision=bfloat16": "precision=bfloat16",
    "model=seed": "model=seed",
    "2 virtual devices": "devices=2",
    "4 virtual devices": "devices=4",
}
CODE = """
import json, sys
from end_to_end import bare_step
from ctxenc import launch
from ctxenc.compose import compose
print(json.dumps(bare_step(launch.plan(compose(sys.argv[1:])), 12)))
"""


def seconds_a_step(overrides: list[str]) -> float:
    """Median seconds of a bare step in a new process."""
    devices = [o.split("=")[1] for o in overrides if o.startswith("devices=")]
    rest = [o for o in overrides if not o.startswith("devices=")]
    flags = f"--xla_force_host_platform_device_count={devices[0]}" if devices else ""
    done = subprocess.run(
        [sys.executable, "-c", CODE, *rest],
        cwd=Path(__file__).parent,
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure each row and print the table."""
    table = Table("", "ms a step", "× the default")
    default = None
    for name, overrides in ROWS.items():
        seconds = seconds_a_step(overrides.split())
        default = default or seconds
        table.add_row(name, f"{1e3 * seconds:.0f}", f"{seconds / default:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
