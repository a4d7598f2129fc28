"""Makes the run folders of ``tests/fixtures/format<N>``: a run, and a sweep of two jobs.

    python -m tests.make_fixtures

Run once when a format is released, and committed: `tests/test_fixtures.py` shows that this version
reads them. Formats that are there already are never made again.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ctxenc.runs.folder import FORMAT

HERE = Path(__file__).parent / "fixtures"
SMALL = (
    *("model.generator.widths=[4,4]", "model.generator.decoder_widths=[4]"),
    *("model.discriminator.widths=[4,4]", "image_size=16", "mask_height=8", "mask_width=8"),
    *("batch_size=256", "num_img=3", "log_every=4", "n_update=6", "eval_every=6"),
)
RUN = ("ema_decay=0.9", "fill_value=mean", "max_steps=7", "name=run", "mask=random")
SWEEP = ("lambda_adv=0,1e-3", "max_steps=2", "name=sweep")


def main() -> None:
    """Train, strip what says where, and put the folders into place."""
    target = HERE / f"format{FORMAT}"
    if target.exists():
        raise SystemExit(f"{target}: there already; a released format does not change")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run = _program("train", *SMALL, *RUN)
        _program("evaluate", run, "--baselines", "context_mean,telea")
        sweep = _program("train", "--multirun", *SMALL, *SWEEP)
        shutil.copytree(run, target / "run")
        shutil.copytree(sweep, target / "sweep")
    for file in target.rglob("*"):
        if file.name in (".lock", ".writing.lock"):
            file.unlink()
        elif file.name in ("env.json", "train.log", "metrics.json", "multirun.yaml"):
            file.write_text(file.read_text().replace(folder, "/home/user"))
        elif file.name.startswith("events.out.tfevents"):
            file.rename(file.with_name("events.out.tfevents.0"))  # the name tells the machine's
    for file in target.rglob("env.json"):
        described = json.loads(file.read_text())
        described["command"] = ["ctxenc.train", *described["command"][1:]]
        file.write_text(json.dumps(described, indent=2) + "\n")


def _program(name: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"ctxenc.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
