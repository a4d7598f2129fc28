"""How long comparing many runs takes, in how much memory, and how large the page is.

    python benchmarks/compare.py [--runs 1000] [--folder DIR] [--lines 0] [--page]

Makes the folders, where DIR does not hold them yet: copies of a run of `docs/tradeoff`, with its
samples, learning curves and evaluation, over learning rates, λ_adv and five seeds, their
figures moved at random. Then `ctxenc.compare` runs on them in a process of its own. With `--lines`,
each run's metrics.jsonl has so many (a line has about 200 bytes). The last line printed is one JSON
object: seconds, the peak of the process' memory in MB, and the page's size in MB.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "docs" / "tradeoff" / "0-lambda_adv=0,mask=center,seed=0"
SEEDS, WEIGHTS = range(5), (0.0, 1e-4, 1e-3, 1e-2)


def make(root: Path, count: int, lines: int) -> None:
    """Write `count` run folders."""
    names = [f.relative_to(TEMPLATE) for f in TEMPLATE.rglob("*") if f.is_file()]
    config = yaml.safe_load((TEMPLATE / ".hydra" / "config.yaml").read_text())
    summary = json.loads((TEMPLATE / "summary.json").read_text())
    rates = [1e-4 * 1.001**i for i in range(count // (len(WEIGHTS) * len(SEEDS)) + 1)]
    settings = itertools.product(rates, WEIGHTS, SEEDS)
    for number, (rate, weight, seed) in zip(range(count), settings, strict=False):
        run = root / f"{number}-learning_rate_g={rate:.4g},lambda_adv={weight},seed={seed}"
        if (run / "summary.json").exists():
            continue
        for name in names:
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_bytes((TEMPLATE / name).read_bytes())
        own = {"learning_rate_g": rate, "lambda_adv": weight, "seed": seed}
        (run / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config | own))
        if lines:
            many = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
            (run / "metrics.jsonl").write_text("".join(itertools.islice(renewed(many), lines)))
        moved = np.random.default_rng(number).normal(0, 0.1)
        figures = {k: v + moved if k != "step" else v for k, v in summary["last"].items()}
        (run / "summary.json").write_text(json.dumps(summary | {"last": figures}))


def renewed(lines: list[str]) -> Iterator[str]:
    """The lines over and over, their steps going on."""
    for step in itertools.count(1):
        line = json.loads(lines[step % len(lines)])
        yield json.dumps(line | {"step": step}) + "\n"


def main() -> None:
    """Make the folders, compare them, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--lines", type=int, default=0)
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "runs"
        make(folder, options.runs, options.lines)
        page = Path(temporary) / "page.html"
        command = [sys.executable, "-m", "ctxenc.compare", str(folder)]
        command += ["--html", str(page)] if options.page else []
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        begun = time.perf_counter()
        subprocess.run(
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        found = {"runs": options.runs, "seconds": round(seconds, 1), "peak_mb": round(peak)}
        if options.page:
            found["page_mb"] = round(page.stat().st_size / 1e6, 1)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
