"""The parts of `gpu.py`: each yields its figures, and `python gpu_parts.py PART` prints them."""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]
ROOT = Path(__file__).parents[1]
TINY: tuple[str, ...] = (
    "dataset=photos",
    "max_steps=20",
    "batch_size=16",
    "model.generator.widths=[8,8,8]",
)
TINY += ("model.generator.decoder_widths=[8,8,8]", "n_update=20", "eval_every=20")


def tests(tiny: bool, data_dir: str | None) -> Iterator[Line]:
    """The tests marked `gpu`, on the GPU; the flag makes its sums the same every time."""
    del tiny, data_dir
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "gpu", "-rs", "tests/test_gpu.py"]
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_deterministic_ops=true"
    platforms = os.environ.get("JAX_PLATFORMS", "")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": platforms},
        capture_output=True,
        text=True,
    )
    kept = re.compile(r"passed|failed|error|FAILED|ERROR|^E  |SKIPPED|skipped", re.IGNORECASE)
    for line in done.stdout.splitlines():
        if kept.search(line):
            yield {"pytest": line.strip()[:300]}
    if done.returncode:
        raise SystemExit(f"pytest: exit status {done.returncode} {done.stderr.strip()[-200:]}")


def step(tiny: bool, data_dir: str | None) -> Iterator[Line]:
    """Milliseconds of a step."""
    import gpu_steps

    yield from gpu_steps.steps(tiny)


def sweep(tiny: bool, data_dir: str | None) -> Iterator[Line]:
    """Jobs of a sweep at once and one after the other."""
    import gpu_sweep

    batch, jobs, overrides = (gpu_sweep.TINY if tiny else gpu_sweep.FULL).values()
    yield from gpu_sweep.jobs_at_once(batch, jobs, overrides, tiny)


def run(tiny: bool, data_dir: str | None) -> Iterator[Line]:
    """A whole run of the recipe for CIFAR-10, beside bare steps."""
    given = _recipe(tiny, data_dir)
    if isinstance(given, dict):
        yield given
        return
    script = [sys.executable, str(Path(__file__).with_name("end_to_end.py")), "--whole"]
    yield json.loads(_last_line([*script, "--every", "5" if tiny else "100", *given]))


def train(tiny: bool, data_dir: str | None) -> Iterator[Line]:
    """The recipe for CIFAR-10 to its end, and its evaluation on the whole test split."""
    given = _recipe(tiny, data_dir)
    if isinstance(given, dict):
        yield given
        return
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as folder:
        made = _last_line([*python, "ctxenc.train", *given], folder)
        status = json.loads((Path(folder, made) / "status.json").read_text())
        yield {"trained": status["state"], "steps": status["step"], "seconds": status["seconds"]}
        _last_line([*python, "ctxenc.evaluate", made, "--baselines", "harmonic"], folder)
        (metrics,) = Path(folder, made).glob("evaluation/*/metrics.json")
        rows = json.loads(metrics.read_text())["rows"]
        yield {f"{name}_psnr_db": round(row["psnr_db"]["mean"], 3) for name, row in rows.items()}


def _recipe(tiny: bool, data_dir: str | None) -> Sequence[str] | Line:
    """The overrides of the recipe, or why it cannot be trained."""
    recipe = "+experiment=cifar10_center"
    if tiny:
        return recipe, *TINY
    if data_dir is None:
        return {"skipped": "no --data-dir: where CIFAR-10 is, as TFDS prepares it"}
    return recipe, f"dataset.data_dir={Path(data_dir).absolute()}"


def _last_line(command: Sequence[str], folder: str | None = None) -> str:
    """Of a command's standard output; where it fails, its last word ends this process."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:3])}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip().splitlines()[-1]


PARTS = {part.__name__: part for part in (tests, step, sweep, run, train)}


def main() -> None:
    """Run one part and print its lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data-dir")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    for line in PARTS[given.part](given.tiny, given.data_dir):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
