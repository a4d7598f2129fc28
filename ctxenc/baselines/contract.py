"""What a baseline is called with, and what is expected of it: see `ctxenc.baselines`."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ctxenc.data.images import Images as Split
from ctxenc.errors import UserError

Images = UInt8[np.ndarray, "n height width 3"]
Missing = Bool[np.ndarray, "n height width"]
Composites = Float[np.ndarray, "n height width 3"]
Hole = Bool[np.ndarray, "height width"]
Fill = Callable[[Images, Missing], Composites]
Progress = Callable[[int, int], None]

_ROUNDING = 1e-5  # of a visible pixel that a fill has computed with


def prepared(
    baseline: Any,
    train: Split,
    hole: Hole | None,
    progress: Progress = lambda done, total: None,
) -> Fill:
    """The fill of a baseline, each of whose batches is checked.

    Args:
        baseline: a fill; or a class, whose objects are fills or have `fit`.
        train: the training split, for `fit`.
        hole: the missing pixels, where they are the same in every test image; else None.
        progress: told how far `fit` is: so many steps done, and of how many.

    Raises:
        UserError: it cannot be had here, or is no baseline.
    """
    fill: Any = _called(baseline) if inspect.isclass(baseline) else baseline
    if hasattr(fill, "fit"):
        fill = _called(fill.fit, train, hole, progress)
    _check_call(fill, None, None)
    return lambda images, missing: _checked(fill(images, missing), images, missing)


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    _check_call(function, *arguments)
    return function(*arguments)


def _check_call(function: Any, *arguments: Any) -> None:
    """Refuse what cannot be called with so many arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        raise UserError(
            "expected a function of (images, missing), or a class made without arguments whose "
            "objects are such functions, or return one from fit(train, hole, progress)"
        ) from None


def _checked(filled: Any, images: Images, missing: Missing) -> Composites:
    """A fill's composites as float32, if they are what is expected.

    Raises:
        UserError: they are not.
    """
    dtype, shape = getattr(filled, "dtype", None), getattr(filled, "shape", None)
    if dtype is None or not np.issubdtype(dtype, np.floating) or shape != images.shape:
        got = type(filled).__name__ if dtype is None else f"{dtype} of shape {shape}"
        raise UserError(f"returned {got}; expected float32 in [-1, 1] of shape {images.shape}")
    filled, real = np.asarray(filled, np.float32), to_float(images)
    if not np.isfinite(filled).all():
        raise UserError("returned infinite values or NaN; expected float32 in [-1, 1]")
    if np.abs(filled - real)[~missing].max(initial=0) > _ROUNDING:
        raise UserError(
            "changed visible pixels; expected images / 127.5 - 1 where nothing is missing"
        )
    return np.where(missing[..., None], filled, real)


def by_hole(missing: Missing) -> Iterator[tuple[np.ndarray, Hole]]:
    """(the images that share a hole, the hole), for every distinct hole."""
    groups: dict[bytes, list[int]] = {}
    for index, hole in enumerate(missing):
        groups.setdefault(hole.tobytes(), []).append(index)
    for indices in groups.values():
        yield np.array(indices), missing[indices[0]]


def to_float(images: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """uint8 pixels as float32 in [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1.0
