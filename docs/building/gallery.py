"""``python docs/building/gallery.py``: docs/masks.jpg, by `ctxenc.show` of each choice of mask."""

import tempfile
from pathlib import Path

from PIL import Image
from skimage.segmentation import felzenszwalb

from ctxenc.config.search_path import choices
from ctxenc.data.photos import TRAIN, photograph
from ctxenc.show import show

GALLERY = Path(__file__).parents[1] / "masks.jpg"
IMAGES = 6
GREY = "fill_value=0.0"  # white would not be seen on paper


def label_maps(folder: Path) -> Path:
    """Label maps to take shapes from: photographs divided into regions of like colour."""
    folder.mkdir()
    for name in TRAIN:
        regions = felzenszwalb(photograph(name), scale=400, sigma=1.0, min_size=400)
        Image.fromarray(regions.astype("uint16")).save(folder / f"{Path(name).stem}.png")
    return folder


def main() -> None:
    """Draw each choice's contact sheet, and put them below each other."""
    with tempfile.TemporaryDirectory() as place:
        given = {"segments": [f"mask.folder={label_maps(Path(place, 'maps'))}"]}
        sheets = []
        for name in choices("mask"):
            file = Path(place, f"{name}.png")
            show([f"mask={name}", "image_size=96", GREY, *given.get(name, [])], file, IMAGES)
            sheets.append(Image.open(file).convert("RGB"))
    height, width = sum(sheet.height for sheet in sheets), max(sheet.width for sheet in sheets)
    gallery = Image.new("RGB", (width, height), "white")
    for number, sheet in enumerate(sheets):
        gallery.paste(sheet, (0, sum(above.height for above in sheets[:number])))
    gallery.save(GALLERY, quality=88)
    print(GALLERY)


if __name__ == "__main__":
    main()
