"""How well models fill brush strokes over photographs at the photographs' own resolution.

    python benchmarks/photographs.py PHOTOS [RUN …] [--count 200] [--sheet sheet.jpg]

Over each photograph of the folder a few strokes of 8 to 24 pixels are drawn, the same every time:
a chain of straight segments with round ends. Beside the fills of the runs, each made as
`ctxenc.inpaint` makes it, are the harmonic fill and Telea's. A line for each: the means over the
photographs of `ctxenc`'s own metrics, which are of the missing pixels only. `--sheet` draws the
first photographs with their strokes, and each fill of them.
"""

import argparse
import time
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import ctxenc
from ctxenc.baselines import BASELINES
from ctxenc.metrics import registry

NAMES = ("psnr_db", "ssim", "sharpness")
THINNEST, WIDEST = 8, 24  # pixels
SHOWN, HEIGHT, LINE = 6, 260, 24  # photographs of a sheet; pixels of each, and of a line of words


def strokes(number: int, height: int, width: int) -> np.ndarray:
    """Which pixels of a photograph are missing: 2 to 5 strokes, a function of its number."""
    random = np.random.default_rng([20261127, number])
    missing = np.zeros((height, width), np.uint8)
    for _ in range(random.integers(2, 6)):
        corners = [random.uniform((0, 0), (width, height))]
        heading = random.uniform(0, 2 * np.pi)
        for _ in range(random.integers(1, 5)):
            heading += random.uniform(-1.6, 1.6)
            step = random.uniform(20, 90) * np.array([np.cos(heading), np.sin(heading)])
            corners.append(np.clip(corners[-1] + step, 0, (width - 1, height - 1)))
        path = np.round(corners).astype(np.int32)
        cv2.polylines(missing, [path], False, 1, int(random.integers(THINNEST, WIDEST + 1)))
    return missing > 0


def measured(real: np.ndarray, filled: np.ndarray, missing: np.ndarray) -> dict[str, float]:
    """Each column of the metrics, of one photograph; `filled` is in [-1, 1]."""
    scaled = jnp.asarray(real[None] / np.float32(127.5) - 1)
    found = registry.per_image(scaled, filled[None], missing[None, ..., None] * 1.0, NAMES)
    return {name: float(value[0]) for name, value in found.items()}


def main() -> None:
    """Read the options, fill, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("photos", type=Path)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--checkpoint", default="best")
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    files = sorted(given.photos.rglob("*.jpg"))[: given.count]
    photos = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    holes = [strokes(number, *photo.shape[:2]) for number, photo in enumerate(photos)]

    def baseline(name: str):  # type: ignore[no-untyped-def]
        return lambda photo, hole: np.asarray(BASELINES[name].target(photo[None], hole[None])[0])

    def model(run: str):  # type: ignore[no-untyped-def]
        painter = ctxenc.load(run, given.checkpoint)
        return lambda photo, hole: painter.fill(photo, hole) / np.float32(127.5) - 1

    harmonic = BASELINES["harmonic"].target()
    fills = {
        "harmonic": lambda photo, hole: np.asarray(harmonic(photo[None], hole[None])[0]),
        "telea": baseline("telea"),
        **{run: model(run) for run in given.runs},
    }
    print(f"{len(photos)} photographs, {100 * np.mean([h.mean() for h in holes]):.1f} % missing")
    shown = [[np.where(h[..., None], 255, p)] for p, h in zip(photos, holes, strict=True)]
    for name, fill in fills.items():
        start, rows = time.monotonic(), []
        for photo, hole, strip in zip(photos, holes, shown, strict=True):
            filled = fill(photo, hole)
            rows.append(measured(photo, filled, hole))
            strip.append(np.round((np.clip(filled, -1, 1) + 1) * 127.5).astype(np.uint8))
        figures = registry.figures({c: np.nanmean([row[c] for row in rows]) for c in rows[0]})
        told = "  ".join(f"{n} {registry.METRICS[n].shown(figures[n])}" for n in NAMES)
        print(f"{name}: {told}  ({time.monotonic() - start:.0f} s)", flush=True)
    if given.sheet:
        sheet(shown[:SHOWN], ["given", *fills]).save(given.sheet, quality=88)


def sheet(strips: list[list[np.ndarray]], names: list[str]) -> Image.Image:
    """A row a photograph, a column for each fill, with its name above."""
    bands = []
    for strip in strips:
        width = round(HEIGHT * strip[0].shape[1] / strip[0].shape[0])
        small = [cv2.resize(p, (width, HEIGHT), interpolation=cv2.INTER_AREA) for p in strip]
        bands.append([np.pad(p, ((0, 4), (0, 4), (0, 0)), constant_values=255) for p in small])
    across = max(band[0].shape[1] for band in bands)
    size = across * len(names), LINE + (HEIGHT + 4) * len(bands)
    picture = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    for column, name in enumerate(names):
        draw.text((column * across, 2), Path(name).name, "black", font)
        for row, band in enumerate(bands):
            place = column * across, LINE + row * (HEIGHT + 4)
            picture.paste(Image.fromarray(band[column].astype(np.uint8)), place)
    return picture


if __name__ == "__main__":
    main()
