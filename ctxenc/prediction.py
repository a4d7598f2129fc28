"""What the generator is given and predicts, what the discriminator sees, and the composite.

The generator predicts a window of each image: the hole, or the whole image. Where a window holds
visible pixels too (the band of an overlap, or all of the context), they are predicted for the
loss's sake only: what a user gets is the composite, the image's own pixels outside of the mask.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ctxenc import masks
from ctxenc.masks import Mask

Images = Float[Array, "batch height width 3"]
Window = Float[Array, "batch window_height window_width 3"]


@dataclass(frozen=True)
class Prediction:
    """The geometry of a run; all sizes are (height, width) in pixels.

    Attributes:
        window: What the generator predicts.
        whole: Whether that is the whole image; else it is a box around the missing pixels.
        band: How wide the box's visible edge is, on all four sides.
        box: The hole, where every mask has one of this size; None where shapes are arbitrary.
        discriminator_input: What the discriminator sees: the ``prediction`` as it is, the
            ``composite`` (the whole image, filled), or the ``hole`` alone.
        mask_channel: Whether the generator is given the mask as a fourth channel.
    """

    window: tuple[int, int]
    whole: bool = False
    band: int = 0
    box: tuple[int, int] | None = None
    discriminator_input: str = "prediction"
    mask_channel: bool = False

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


def are_boxes(missing: Bool[np.ndarray, "masks height width"], height: int, width: int) -> bool:
    """Whether the missing pixels of each mask are one box of this size."""
    for mask in missing:
        top, left = mask.any(axis=1).argmax(), mask.any(axis=0).argmax()
        inside = mask[top : top + height, left : left + width]
        if not inside.sum() == mask.sum() == height * width:
            return False
    return True
