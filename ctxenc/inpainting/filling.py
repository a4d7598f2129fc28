"""A trained model fills the holes of a photograph of any size.

For each hole the model is given a square around it, at the scale at which the hole fits the box
that the model was trained to fill. A model of holes sees none of that box, as in training; a model
of whole images sees all that is known. Its fill goes back to full resolution, into the missing
pixels only. Holes are filled largest first, so a later one sees the earlier ones filled; where
pixels are missing beside its box, a model of holes is shown Telea's fill of them.

However large a hole is, it is one crop. Where two thirds or more of a photograph of BSDS500 were
missing, filling them anew in parts gave two models 0.2 dB more and 0.1 less, and showed where the
parts meet; parts alone drifted to grey.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ctxenc import step
from ctxenc.baselines.fills import telea
from ctxenc.errors import UserError
from ctxenc.inpainting import ModelImage, Photo, PixelMask, blending, holes
from ctxenc.inpainting.crops import Crop, ModelWindow, Shares, crop_for
from ctxenc.trained import TrainedModel

BATCH = 8  # holes to one call of the model, which is compiled for this many
LOOK_AHEAD = 256  # holes that are searched for a batch of independent ones
LEAST_SHARE = 1e-3  # of a model pixel, from which its known part stands for it
MISSING_SHARE = 0.5  # a model pixel of which less is known is filled, where more is of any other


@dataclass(frozen=True)
class CropInput:
    """What a model is given of a crop: `colours`, of which it is to fill those in the `mask`.

    `share` is how much of each is known; where nothing is, the colour is a stand-in.
    """

    colours: ModelImage
    share: Shares
    mask: Bool[np.ndarray, "size size"]


def inpaint(
    trained: TrainedModel,
    photo: Photo,
    missing: PixelMask,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Photo, list[Crop]]:
    """The filled photo, and the crops that the model was given, in their order.

    Pixels that are not missing stay as they are. `progress` is called with how many holes are
    filled, and how many there are.

    Raises:
        UserError: see `crops_of`; or nothing that a crop shows is known.
    """
    crops = crops_of(ModelWindow.of(trained), missing)
    filled, known, done = photo.copy(), ~missing, 0
    for batch in independent(crops, BATCH):
        inputs = [crop_input(crop, filled, known) for crop in batch]
        for crop, given, fill in zip(batch, inputs, _fills(trained, inputs), strict=True):
            blending.paste(crop, blend(given, fill), filled, known)
        done += len(batch)
        progress(done, len(crops))
    return filled, crops


def crops_of(window: ModelWindow, missing: PixelMask) -> list[Crop]:
    """The crops that a model fills for a mask, in their order.

    Raises:
        UserError: nothing is missing, or all is.
    """
    height, width = missing.shape
    if not missing.any():
        raise UserError("the mask is empty: no pixel is missing")
    if missing.all():
        raise UserError("the mask covers the whole photo: nothing is left to see")
    return [crop_for(hole, window, (height, width)) for hole in holes.find(missing, window.box)]


def independent(crops: list[Crop], most: int) -> Iterator[list[Crop]]:
    """The crops in batches of at most `most`, none of which shows what another of its batch fills.

    So batches give what their crops one after the other give. A crop may come before one of the
    same scale that was earlier, and before none of a larger scale that it meets.
    """
    left = list(crops)
    while left:
        batch: list[Crop] = []
        passed: list[Crop] = []
        largest = 0.0  # scale among `passed`
        for crop in left[:LOOK_AHEAD]:
            before = batch + (passed if crop.scale < largest else [])
            if len(batch) < most and not any(map(crop.meets, before)):
                batch.append(crop)
            else:
                passed.append(crop)
                largest = max(largest, crop.scale)
        yield batch
        left = passed + left[LOOK_AHEAD:]


def crop_input(crop: Crop, photo: Photo, known: PixelMask) -> CropInput:
    """What the model is given; unknown pixels outside its mask are filled by Telea's method.

    Raises:
        UserError: so little is known that it shows in none of the model's pixels.
    """
    colours, share = crop.reduce(photo, known)
    if crop.window.whole:
        mask = _mostly_missing(share)
    else:
        mask = np.zeros(share.shape, bool)
        (top, left), (height, width) = crop.box, crop.window.box
        mask[top : top + height, left : left + width] = True
    unknown = share < LEAST_SHARE
    if unknown.all():
        raise UserError(f"around the hole of {crop.hole} nothing is left to see")
    colours = np.repeat(colours, 3 // colours.shape[2], axis=2)
    if (unknown & ~mask).any():
        (stand_in,) = telea(np.round(colours[None]).astype(np.uint8), unknown[None])
        colours = np.where(unknown[..., None], (stand_in + 1) * 127.5, colours)
    return CropInput(colours, share, mask)


def _mostly_missing(share: Shares) -> Bool[np.ndarray, "size size"]:
    """Where less is known than `MISSING_SHARE`, of the pixel of which most is: that one is not."""
    return share < MISSING_SHARE * min(1.0, float(share.max()))


def _fills(trained: TrainedModel, inputs: list[CropInput]) -> Float[np.ndarray, "n size size 3"]:
    """The model's composites, 0 to 255."""
    given = inputs + inputs[-1:] * (BATCH - len(inputs))
    images = np.stack([np.round(one.colours).astype(np.uint8) for one in given])
    mask = np.stack([one.mask[..., None].astype(np.float32) for one in given])
    filled = step.fill(trained.model, trained.variables, images, mask, trained.fill_value)
    return (np.asarray(filled[: len(inputs)], np.float32) + 1) * 127.5


def blend(given: CropInput, fill: ModelImage) -> ModelImage:
    """The fill where nothing is known, drawn to the colours around it by a membrane."""
    # Not at the top: it is slow to import, and a program's --help does not need it.
    from scipy.ndimage import distance_transform_edt

    missing = given.mask & _mostly_missing(given.share)
    if not missing.any():  # thinner than half a model pixel: the colours beside it go on
        return given.colours
    # Beside the mask the colours of its edge go on. A model of whole images predicts those pixels
    # too, but worse: on 12 photographs of BSDS500 using them cost 0.3 to 0.6 dB.
    row, column = distance_transform_edt(~given.mask, return_distances=False, return_indices=True)
    predicted = fill[row, column]
    known = (given.share >= LEAST_SHARE) & ~missing
    return predicted + blending.membrane(given.colours - predicted, known)
