"""Whether a folder of 20,000 photographs trains in constant memory, and how fast it opens.

    python benchmarks/large_folder.py [--images 20000] [--steps 300] [--folder DIR] [OVERRIDE …]

Makes the folder, where DIR does not hold one yet: JPEGs whose short side is 256 pixels, random
parts of scikit-image's photographs. A tiny model then trains on it at 128 pixels, in the authors'
way of cutting images, in a process whose memory is read from /proc at every step (so Linux only)
and which may keep only `--limit` MB of decoded images, so that every split is streamed. The last
line printed is one JSON object: seconds that opening the folder takes the first time and again,
images/s of training and what part of the time it had to wait for images, and the median memory of
each fifth of the run after its first 50 steps, in MB.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from PIL import Image

from ctxenc import launch, step
from ctxenc.data import images
from ctxenc.data.folder import folder
from ctxenc.data.photos import TEST, TRAIN, VALIDATION, photograph

SHORT_SIDE, WARM_UP, PARTS = 256, 50, 5
SOURCES = {"train": TRAIN, "test": TEST, "val": VALIDATION}
TINY = (
    *("model.generator.widths=[4,8,8,8]", "model.generator.decoder_widths=[8,8,8]"),
    *("model.discriminator.widths=[4,8,8]", "image_size=128", "mask_height=64", "mask_width=64"),
)


def make(root: Path, count: int) -> None:
    """Write `count` different photographs: of ten, one to test on and one to validate on."""
    held_out = count // 10
    splits = {"train": count - 2 * held_out, "test": held_out, "val": held_out}
    for split, number in splits.items():
        (root / split).mkdir(parents=True, exist_ok=True)
        missing = [i for i in range(number) if not (root / split / f"{i:05d}.jpg").exists()]
        parts = [(root / split, missing[start::64]) for start in range(64)]
        spawn = multiprocessing.get_context("spawn")  # JAX's threads do not survive a fork
        with ProcessPoolExecutor(os.cpu_count(), spawn) as pool:
            list(pool.map(_write, *zip(*parts, strict=True)))


def _write(split: Path, numbers: list[int]) -> None:
    sources = [photograph(name) for name in SOURCES[split.name]]
    for number in numbers:
        random = np.random.default_rng([number, list(SOURCES).index(split.name)])
        source = sources[random.integers(len(sources))]
        height, width = (int(side * random.uniform(0.5, 1)) for side in source.shape[:2])
        top, left = (random.integers(s - w) for s, w in zip(source.shape, (height, width)))  # noqa: B905
        part = source[top : top + height, left : left + width, :: random.choice([-1, 1])[()]]
        scale = SHORT_SIDE / min(height, width)
        size = (max(SHORT_SIDE, round(width * scale)), max(SHORT_SIDE, round(height * scale)))
        Image.fromarray(cv2.resize(part, size)).save(split / f"{number:05d}.jpg", quality=90)


def memory() -> float:
    """What this process holds, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def watched() -> Iterator[list[float]]:
    """The process's memory at each training step of a run."""
    original, found = step.train_step, []

    class Watched:
        eval_shape = original.eval_shape

        def __call__(self, *arguments):  # type: ignore[no-untyped-def]
            found.append(memory())
            return original(*arguments)

    with mock.patch.object(step, "train_step", Watched()):
        yield found


def main() -> None:
    """Read the options, make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--limit", type=int, default=32, help="MB of decoded images")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("overrides", nargs="*", help="as for ctxenc.train")
    options = parser.parse_args()
    images.MEMORY_LIMIT = options.limit * 2**20
    with tempfile.TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        root = options.folder or Path(temporary) / "photographs"
        make(root, options.images)
        os.environ["XDG_CACHE_HOME"] = str(Path(temporary) / "cache")
        opening = []
        for _ in range(2):
            began = time.perf_counter()
            folder(path=str(root), test_fraction=0.1, image_size=128)
            opening.append(round(time.perf_counter() - began, 1))
        data = ["dataset=folder", f"dataset.path={root}", "dataset.resize=350"]
        rhythm = [f"max_steps={options.steps}", f"eval_every={options.steps}", "log_every=10"]
        with watched() as held:
            run = launch.run(*TINY, *data, *rhythm, *options.overrides)
        lines = run.lines("train")[WARM_UP // 10 :]
    after = [round(statistics.median(part)) for part in np.array_split(held[WARM_UP:], PARTS)]
    found = {
        "opening_s": opening,
        "images_per_second": round(statistics.median(x["images_per_second"] for x in lines)),
        "waited_for_data": round(statistics.mean(x["waited_for_data"] for x in lines), 2),
        "memory_mb": after,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
