"""A trained model fills the holes of a photograph of any size.

For each hole the model sees a square around it, at the scale at which the hole fits the box that
the model was trained to fill. A model of holes sees none of that box, as in training; a model of
whole images sees all that is known. Its fill goes back to full resolution, into the missing pixels
only. Holes are filled largest first, so a later one sees the earlier ones filled; where pixels are
missing beside its box, a model of holes is shown cv2's Telea fill.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from ctxenc import step
from ctxenc.errors import UserError
from ctxenc.inpainting import holes, seam
from ctxenc.inpainting.crops import Crop, Sight, place
from ctxenc.trained import TrainedModel

BATCH = 8  # holes to one call of the model, which is compiled for this many
LOOK_AHEAD = 256  # holes that are searched for a batch of independent ones
MOST_MIRRORED = 2  # a crop's side to the photograph's shorter side: more than that sees too little
TILE = 1024  # pixels: holes are pasted in parts of this size, which bounds the memory
TELEA_RADIUS = 3.0
LEAST_SHARE = 1e-3  # of a model pixel, from which its known part stands for it
MISSING_SHARE = 0.5  # a model pixel of which less is known is filled

Photo = UInt8[np.ndarray, "height width c"]  # c is 1 or 3
Missing = Bool[np.ndarray, "height width"]
ModelImage = Float[np.ndarray, "size size 3"]

_fill = functools.partial(jax.jit, static_argnums=0)(step.fill)


@dataclass(frozen=True)
class View:
    """What a crop shows: colours 0 to 255 with stand-ins where nothing is known, and what is.

    `mask` is what the model is told to fill.
    """

    colours: ModelImage
    share: Float[np.ndarray, "size size"]
    mask: Bool[np.ndarray, "size size"]


def plan(sight: Sight, missing: Missing) -> list[Crop]:
    """The crops that a model fills for a mask, in their order.

    Raises:
        UserError: nothing is missing, all is, or a hole is larger than the model can see.
    """
    height, width = missing.shape
    if not missing.any():
        raise UserError("the mask is empty: no pixel is missing (--invert takes black for missing)")
    if missing.all():
        raise UserError("the mask covers the whole photo: nothing is left to see")
    crops = [place(hole, sight, height, width) for hole in holes.find(missing, sight.box)]
    limit = MOST_MIRRORED * min(height, width)
    for crop in crops:
        if crop.side > limit:
            raise UserError(
                f"a hole of {crop.hole.width}×{crop.hole.height} pixels at {crop.hole.left},"
                f"{crop.hole.top} needs a crop of {crop.side:.0f} pixels; a photo of "
                f"{width}×{height} takes crops of at most {limit}, twice its shorter side"
            )
    return crops


def inpaint(
    trained: TrainedModel,
    photo: Photo,
    missing: Missing,
    *,
    moved: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Photo, list[Crop]]:
    """Fill the missing pixels; all others are as they were.

    Args:
        trained: the model.
        photo: grey (one channel) or RGB.
        missing: which pixels are.
        moved: called with how many holes are filled, and how many there are.

    Returns:
        (the filled photo, the crops that the model saw, in their order).

    Raises:
        UserError: see `plan`; or nothing that a crop shows is known.
    """
    sight = Sight.of(trained)
    crops = plan(sight, missing)
    filled, known = photo.copy(), ~missing
    done = 0
    for batch in independent(crops, BATCH):
        views = [look(crop, filled, known, sight) for crop in batch]
        for crop, view, fill in zip(batch, views, _fills(trained, views), strict=True):
            paste(crop, blend(crop, view, fill), filled, known)
        done += len(batch)
        moved(done, len(crops))
    return filled, crops


def independent(crops: list[Crop], most: int) -> Iterator[list[Crop]]:
    """The crops in batches, of which no crop shows what another of its batch changes.

    So batches give what their crops one after the other give. A crop may come before one of the
    same scale that was earlier, and before none of a larger scale that it meets.
    """
    left = list(crops)
    while left:
        batch: list[Crop] = []
        passed: list[Crop] = []
        largest = 0.0  # scale among `passed`
        for crop in left[:LOOK_AHEAD]:
            if len(batch) == most:
                break
            larger = passed if crop.scale < largest else []
            if any(crop.meets(other) for other in batch + larger):
                passed.append(crop)
                largest = max(largest, crop.scale)
            else:
                batch.append(crop)
        yield batch
        left = passed + left[len(batch) + len(passed) :]


def look(crop: Crop, photo: Photo, known: Missing, sight: Sight) -> View:
    """What a crop shows, unknown pixels that stay visible by Telea's method from the known ones.

    Raises:
        UserError: all that is known is where the model does not see it.
    """
    colours, share = crop.reduce(photo, known)
    mask = share < MISSING_SHARE if sight.whole else _box(crop, sight)
    unknown = share < LEAST_SHARE
    if (unknown | mask).all():
        hole = crop.hole
        raise UserError(
            f"around the hole of {hole.width}×{hole.height} pixels at {hole.left},{hole.top} "
            "nothing is left to see"
        )
    colours = np.broadcast_to(colours, (*share.shape, 3))
    if (unknown & ~mask).any():
        known_colours = np.round(np.where(unknown[..., None], 0, colours)).astype(np.uint8)
        stand_in = cv2.inpaint(
            known_colours, unknown.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA
        )
        colours = np.where(unknown[..., None], stand_in, colours)
    return View(np.ascontiguousarray(colours, np.float32), share, mask)


def _box(crop: Crop, sight: Sight) -> Bool[np.ndarray, "size size"]:
    """The box that a model of holes fills in a crop."""
    inside = np.zeros((sight.size, sight.size), bool)
    top, left = crop.rows.box, crop.columns.box
    inside[top : top + sight.box[0], left : left + sight.box[1]] = True
    return inside


def _fills(trained: TrainedModel, views: list[View]) -> Float[np.ndarray, "views size size 3"]:
    """The model's composites, 0 to 255."""
    size = trained.config.image_size
    images = np.zeros((BATCH, size, size, 3), np.uint8)
    mask = np.zeros((BATCH, size, size, 1), np.float32)
    for i in range(BATCH):
        view = views[min(i, len(views) - 1)]
        images[i], mask[i, ..., 0] = np.round(view.colours), view.mask
    filled: Array = _fill(trained.model, trained.variables, images, mask, trained.fill_value)
    return (np.asarray(filled[: len(views)], np.float32) + 1) * 127.5


def blend(crop: Crop, view: View, fill: ModelImage) -> ModelImage:
    """The fill where pixels are missing, drawn to the colours around it by a membrane."""
    # Not at the top: it is slow to import, and a program's --help does not need it.
    from scipy.ndimage import distance_transform_edt

    missing = view.mask & (view.share < MISSING_SHARE)
    if not view.mask.any():  # thinner than half a model pixel: the colours beside it go on
        return view.colours
    # Beside the mask the colours of its edge go on. A model of whole images predicts those pixels
    # too, but worse: on 12 photographs of BSDS500 the seam then cost 0.3 to 0.6 dB.
    row, column = distance_transform_edt(~view.mask, return_distances=False, return_indices=True)
    predicted = fill[row, column]
    in_photo = crop.rows.inside()[:, None] & crop.columns.inside()[None, :]
    border = (view.share >= LEAST_SHARE) & in_photo & ~missing
    correction = seam.membrane(view.colours - predicted, missing, border)
    image = np.where(missing[..., None], predicted + correction, view.colours)
    # What mirrors the hole beyond the photo's edge takes part where the hole is enlarged.
    beyond = (view.share < LEAST_SHARE) & ~view.mask
    return np.where(beyond[..., None], image[row, column], image)


def paste(crop: Crop, image: ModelImage, photo: Photo, known: Missing) -> None:
    """Put the model's image into the hole's missing pixels, which are known from then on."""
    hole = crop.hole
    if photo.shape[2] == 1:
        image = image.mean(axis=2, keepdims=True)
    for top in range(hole.top, hole.bottom, TILE):
        for left in range(hole.left, hole.right, TILE):
            bottom, right = min(top + TILE, hole.bottom), min(left + TILE, hole.right)
            tile = slice(top, bottom), slice(left, right)
            new = ~known[tile]
            if new.any():
                photo[tile][new] = _tile(crop, image, photo, known, tile)[new]
    known[hole.top : hole.bottom, hole.left : hole.right] = True


def _tile(
    crop: Crop, image: ModelImage, photo: Photo, known: Missing, tile: tuple[slice, slice]
) -> Photo:
    """A part of the photograph with the fill at full resolution."""
    widths = seam.feather_widths(crop.scale)
    halo = int(2 * widths[0]) + 1
    around = tuple(
        slice(max(0, part.start - halo), min(length, part.stop + halo))
        for part, length in zip(tile, known.shape, strict=True)
    )
    fill = crop.enlarge(image, *around)
    there = known[around]
    real = photo[around].astype(np.float32)
    for width in widths:
        fill = seam.feather(fill, real, ~there, there, width)
    inner = tuple(
        slice(part.start - outer.start, part.stop - outer.start)
        for part, outer in zip(tile, around, strict=True)
    )
    return np.clip(np.round(fill[inner]), 0, 255).astype(np.uint8)
