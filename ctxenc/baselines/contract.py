"""What a baseline is called with, and what is expected of it: see `ctxenc.baselines`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

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


@dataclass(frozen=True)
class Baseline:
    """One baseline; `title` is its name in tables.

    One that is slow where every image has its own hole is measured on so many of the `first` images
    there. A run measures those of ``training`` before its first step; where every image has its own
    hole, on as many of the first as have `pixels` missing ones, if that is not None.
    """

    title: str
    target: Any
    first: int | None = None
    when: Literal["training", "evaluation"] = "evaluation"
    pixels: int | None = None


def prepared(
    baseline: Any, train: Split, hole: Hole | None, progress: Progress = lambda done, total: None
) -> Fill:
    """The fill of a baseline, whose composites are checked; `ctxenc.baselines` says what all are.

    Raises:
        UserError: it cannot be had here, or is no baseline.
    """
    fill = baseline
    if inspect.isclass(fill):
        _check_call(fill)
        fill = fill()
    if hasattr(fill, "fit"):
        _check_call(fill.fit, train, hole, progress)
        fill = fill.fit(train, hole, progress)
    _check_call(fill, None, None)

    def checked(images: Images, missing: Missing) -> Composites:
        filled = fill(images, missing)
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

    return checked


def _check_call(function: Any, *arguments: Any) -> None:
    """Refuse what cannot be called with so many arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        raise UserError(
            "expected a function of (images, missing), or a class made without arguments whose "
            "objects are such functions, or return one from fit(train, hole, progress)"
        ) from None


def to_float(images: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """uint8 pixels as float32 in [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1.0
