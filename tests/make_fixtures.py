"""Makes the run folders of ``tests/fixtures/format<N>``: a run, and a sweep of two jobs.

    python -m tests.make_fixtures

Run once when a format is released, and committed: `tests/test_fixtures.py` shows that this version
reads them. Formats that are there already are never made again.
"""

import contextlib
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ctxenc.run_folder.folder import FORMAT

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
        _strip(target, folder)


def _strip(target: Path, folder: str) -> None:
    """Leave out what no program reads, and where the folders were made."""
    machine = {folder: "/home/user", str(HERE.parents[1]): "/home/user/ctxenc"}
    machine[platform.platform()] = "Linux"
    shutil.rmtree(target / "run" / "checkpoints" / "6")  # the latest, 7, is enough
    for file in target.rglob("*"):
        if ".lock" in (file.suffix, file.name) or file.name == "curves.png":
            file.unlink()
        elif file.suffix in (".txt", ".json", ".log", ".yaml"):
            text = file.read_text()
            for found, neutral in machine.items():
                text = text.replace(found, neutral)
            file.write_text(text)
        elif file.name.startswith("events.out.tfevents"):
            file.rename(file.with_name("events.out.tfevents.0"))  # else it names the machine


def _program(name: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"ctxenc.{name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
