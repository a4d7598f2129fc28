"""What the networks refuse, in one line: the key, what it got and what it takes."""

from collections.abc import Sequence

from ctxenc.errors import UserError

UPSAMPLINGS = ("deconv", "resize_conv")


def check_widths(key: str, widths: Sequence[int], *, of: int | None = None) -> None:
    """Refuses a list of channels that is empty, or not of `of` numbers, or has one below 1."""
    count = "one or more" if of is None else str(of)
    if not widths or min(widths) < 1 or of not in (None, len(widths)):
        raise UserError(f"{key}={list(widths)}: it takes {count} numbers, each 1 or more")


def check_upsample(upsample: str) -> None:
    """Refuses a way to double a map that there is not."""
    if upsample not in UPSAMPLINGS:
        raise UserError(f"model.generator.upsample={upsample}: it takes {' or '.join(UPSAMPLINGS)}")


def check_halvings(image: tuple[int, int], times: int) -> None:
    """Refuses an image (height, width) that the encoder cannot halve so many times."""
    for size in image:
        _check_multiple("image_size", size, times, "encoder halves")


def check_doublings(output: tuple[int, int], times: int, image: tuple[int, int]) -> None:
    """Refuses an output (height, width) that the decoder's doublings cannot reach.

    Where the output is as large as the `image`, it is that whose size is named.
    """
    whole = output == image
    for key, size in zip(("mask_height", "mask_width"), output, strict=True):
        _check_multiple("image_size" if whole else key, size, times, "decoder doubles")


def check_norms(*, batch_norm: bool, spectral_norm: bool) -> None:
    """Refuses spectral normalisation where batch normalisation takes the kernels' scale away."""
    if batch_norm and spectral_norm:
        raise UserError(
            "model.discriminator.spectral_norm=True: batch normalisation undoes it; it goes with "
            "model.discriminator.batch_norm=false"
        )


def check_batch(batch: int) -> None:
    """Refuses to train on one image a map that is one pixel, of which nothing would be left."""
    if batch == 1:
        raise UserError(
            "batch_size=1: the bottleneck is normalised over the batch alone; it takes 2 and more"
        )


def _check_multiple(key: str, size: int, times: int, verb: str) -> None:
    factor = 2**times
    if size < factor or size % factor:
        raise UserError(
            f"{key}={size}: the model's {verb} {times} times; it takes multiples of {factor}"
        )
