"""How the cost of a step grows with batch, width, image size, precision and devices.

    python benchmarks/scaling.py [--base OVERRIDES] [--rows NAME…]

The default, or the configuration that --base makes, is of one device. Each row is a process of its
own: bare steps, see `bare_step.py`. Devices are virtual ones, which share this machine's cores:
their row shows what sharing a batch costs, not what it gains.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

WIDE = "model.generator.widths=[{0},{1},{2}] model.generator.decoder_widths=[{2},{1}]"
ROWS = {
    "the default again": "",
    "batch 16": "batch_size=16",
    "batch 32": "batch_size=32",
    "batch 128": "batch_size=128",
    "half the width": WIDE.format(64, 128, 256),
    "twice the width": WIDE.format(256, 512, 1024),
    "64 pixels, hole 32": "image_size=64 mask_height=32 mask_width=32",
    "loss=reconstruction": "loss=reconstruction",
    "precision=bfloat16": "precision=bfloat16",
    "precision=float32": "precision=float32",
    "optimizer=adamw": "optimizer=adamw",
    "optimizer=muon": "optimizer=muon",
    "model=tf_original": "model=tf_original",
    "2 virtual devices": "devices=2",
    "4 virtual devices": "devices=4",
}


def seconds_a_step(overrides: list[str]) -> float:
    """Median seconds of a bare step in a new process."""
    devices = [o.split("=")[1] for o in overrides if o.startswith("devices=")]
    rest = [o for o in overrides if not o.startswith("devices=")]
    flags = f"--xla_force_host_platform_device_count={devices[0]}" if devices else ""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("bare_step.py")), *rest],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure each row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--base", default="", help="overrides of every row, in one argument")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="NAME")
    options = parser.parse_args()
    base = options.base.split()
    table = Table("", "ms a step", "× the default")
    for name in options.rows:
        # The default again beside every row: a machine's speed drifts within minutes.
        default, seconds = seconds_a_step(base), seconds_a_step([*base, *ROWS[name].split()])
        table.add_row(name, f"{1e3 * seconds:.0f}", f"{seconds / default:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
