"""What the generator is given and predicts, what the discriminator sees, and the composite.

The generator predicts a window of each image: the hole, or the whole image. Where a window holds
visible pixels too (the band of an overlap, or all of the context), they are predicted for the
loss's sake only: what a user gets is the composite, the image's own pixels outside of the mask.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ctxenc import masks
from ctxenc.errors import UserError
from ctxenc.masks import Mask, MaskStrategy
from ctxenc.masks.boxes import band

Images = Float[Array, "batch height width 3"]
Window = Float[Array, "batch window_height window_width 3"]

SAMPLE = 64  # masks, drawn to find out what shapes a strategy's masks have


@dataclass(frozen=True)
class Geometry:
    """Of one run; all sizes are (height, width) in pixels.

    Attributes:
        window: What the generator predicts.
        whole: Whether that is the whole image; else it is a box around the missing pixels.
        band: How wide the box's visible edge is, on all four sides.
        box: The hole with its visible edge, where every mask is a box of this size; else None.
        discriminator_input: What the discriminator sees: the ``prediction`` as it is, the
            ``composite`` (the whole image, filled), or the `box` alone (``hole``).
        mask_channel: Whether the generator is given the mask as a fourth channel.
        hides: Whether missing pixels are hidden from the generator; where each mask covers all of
            its image, nothing is: an autoencoder.
    """

    window: tuple[int, int]
    whole: bool = False
    band: int = 0
    box: tuple[int, int] | None = None
    discriminator_input: str = "prediction"
    mask_channel: bool = False
    hides: bool = True

    @classmethod
    def of(
        cls,
        mask: MaskStrategy,
        size: int,
        box: tuple[int, int],
        *,
        predict: str | None,
        overlap: float,
        discriminator_input: str,
        mask_channel: bool,
    ) -> "Geometry":
        """What a configuration's keys choose for images of `size` pixels and these masks.

        Raises:
            UserError: the keys do not fit each other, or the masks.
        """
        hole = Geometry(box, False, band(overlap, *box), box, discriminator_input, mask_channel)
        drawn = _drawn(mask, size)
        whole = _cover_everything(drawn)
        for name, value, others in (
            ("predict", predict, "image"),
            ("discriminator_input", discriminator_input, "prediction or composite"),
        ):
            if whole and value == "hole":
                raise UserError(
                    f"{name}=hole: expected {others}, as the mask covers every image: there is no "
                    "hole"
                )
        boxes = not whole and _are_boxes(drawn, hole)
        if predict == "hole" or discriminator_input == "hole":
            _check_boxes(boxes, hole)
        if predict == "hole" or (predict is None and boxes):
            return hole
        if hole.band:
            raise UserError(
                f"overlap={overlap}: must be 0, as a prediction of the whole image overlaps all of "
                "its context; context_weight weighs the context"
            )
        box_or_none = box if boxes else None
        return replace(hole, window=(size, size), whole=True, box=box_or_none, hides=not whole)

    def with_masks(self, mask: MaskStrategy, box: tuple[int, int], size: int) -> "Geometry":
        """A generator's for other masks than those it was trained on.

        Raises:
            UserError: it fills boxes, and they are not.
        """
        drawn = _drawn(mask, size)
        if self.whole:
            boxes = _are_boxes(drawn, replace(self, window=box, whole=False))
            return replace(self, box=box if boxes else None)
        _check_boxes(_are_boxes(drawn, self), self)
        return self

    @property
    def channels(self) -> int:
        """How many channels the generator is given."""
        return 4 if self.mask_channel else 3

    def discriminator_size(self, image_size: int) -> tuple[int, int]:
        """Height and width of what the discriminator sees."""
        if self.discriminator_input == "composite":
            return image_size, image_size
        return self.box if self.discriminator_input == "hole" and self.box else self.window

    def generator_input(
        self, images: Images, mask: Mask, fill_value: Float[Array, " 3"]
    ) -> Float[Array, "batch height width channels"]:
        """The images with `fill_value` in the hole, and the mask where it is given too."""
        mask = mask if self.hides else jnp.zeros_like(mask)
        context = masks.apply(images, mask, fill_value)
        return jnp.concatenate([context, mask], axis=-1) if self.mask_channel else context

    def window_of(
        self, images: Float[Array, "batch height width c"], mask: Mask
    ) -> Float[Array, "batch window_height window_width c"]:
        """The window of images, or of masks."""
        if self.whole:
            return images
        return masks.crop(images, masks.corners(mask) - self.band, self.window)

    def composite(self, images: Images, prediction: Window, mask: Mask) -> Images:
        """The images with the prediction where the mask is 1."""
        placed = prediction
        if not self.whole:
            placed = masks.paste(images, prediction, masks.corners(mask) - self.band)
        return jnp.where(mask > 0, placed, images)

    def discriminator_sees(self, images: Images, window: Window, mask: Mask) -> Array:
        """What the discriminator sees of a window, real or predicted."""
        if self.discriminator_input == "composite":
            return self.composite(images, window, mask)
        if self.discriminator_input == "hole" and self.whole and self.box:
            return masks.crop(window, masks.corners(mask), self.box)
        return window

    def missing_box(self, images: Images, mask: Mask) -> Array:
        """The missing pixels of images, where they are a box; where they are not, the images."""
        if self.box is None:
            return images
        height, width = self.box
        inner = (height - 2 * self.band, width - 2 * self.band)
        return masks.crop(images, masks.corners(mask), inner)


def _check_boxes(boxes: bool, geometry: Geometry) -> None:
    if not boxes:
        height, width = (side - 2 * geometry.band for side in geometry.window)
        raise UserError(
            f"mask: expected one box of {height} × {width} pixels missing in every image (of "
            "mask_height × mask_width, less the overlap), and these masks are of other shapes or "
            "sizes; predict=image, with discriminator_input=prediction or composite, allows any"
        )


def _drawn(mask: MaskStrategy, size: int) -> Bool[np.ndarray, "n height width"]:
    """Some masks, and of a mixture as many of each part, whose weight may be small."""
    at_once = max(1, min(SAMPLE, masks.MOST_DRAWN // size**2))
    starts = range(0, SAMPLE, at_once)
    indices = [jnp.arange(start, min(start + at_once, SAMPLE)) for start in starts]
    parts = [np.asarray(masks.frozen(mask, some, size, size)) > 0 for some in indices]
    if shapes := {part.shape[1:] for part in parts} - {(size, size, 1)}:
        raise UserError(
            f"mask: returned {shapes.pop()} for an image of {size} × {size}; expected "
            f"(batch, {size}, {size}, 1), 1 where a pixel is missing"
        )
    of_parts = [_drawn(part, size) for part in getattr(mask, "parts_used", ())]
    return np.concatenate([*(part[..., 0] for part in parts), *of_parts])


def _cover_everything(drawn: Bool[np.ndarray, "n height width"]) -> bool:
    """Whether every mask covers all of its image; a `UserError` where only some do, or nothing."""
    missing = drawn.mean(axis=(1, 2))
    if (missing == 1).all():
        return True
    if missing.min() == 0 or missing.max() == 1:
        raise UserError(
            f"mask: hides {100 * missing.min():g} to {100 * missing.max():g} % of an image; "
            "expected masks that hide some of every image and leave some visible, or mask=whole"
        )
    return False


def _are_boxes(drawn: Bool[np.ndarray, "n height width"], geometry: Geometry) -> bool:
    """Whether each mask is one box of the window's size, less its visible band."""
    height, width = (side - 2 * geometry.band for side in geometry.window)
    for missing in drawn:
        top, left = missing.any(axis=1).argmax(), missing.any(axis=0).argmax()
        inside = missing[top : top + height, left : left + width]
        if not inside.sum() == missing.sum() == height * width:
            return False
    return True
