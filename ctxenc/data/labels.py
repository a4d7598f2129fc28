"""The classes of a split's images, where its source knows them; nothing is read before one asks."""

from collections.abc import Callable, Sized
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ctxenc.errors import UserError


class Labels(NamedTuple):
    """The class of each image of a split, in its order."""

    numbers: Int[np.ndarray, " images"]  # positions in `names`
    names: tuple[str, ...]  # the same, in the same order, for every split of a dataset


def labels_of(images: Sized, where: str) -> Labels:
    """The labels of a split's images; `where` is the option that chose them, for messages.

    Raises:
        UserError: there are none, or they are not those of a number of images of known classes.
    """
    read: Callable[[], Labels] | None = getattr(images, "labels", None)
    if read is None:
        raise UserError(
            f"{where}: its images have no labels; expected a TFDS dataset whose feature `label` "
            "has classes, or a folder with one subfolder a class"
        )
    numbers, names = read()
    if len(numbers) != len(images):
        raise UserError(f"{where}: {len(numbers)} labels of {len(images)} images; expected as many")
    if (outside := np.flatnonzero((numbers < 0) | (numbers >= len(names)))).size:
        first = outside[0]
        raise UserError(
            f"{where}: {outside.size} of {len(images)} images have no class (image {first} the "
            f"label {numbers[first]}); expected numbers from 0 to {len(names) - 1}"
        )
    return Labels(numbers, names)
