"""FID, KID and LPIPS, through TorchScript networks that the user brings.

The files are of the form that StyleGAN2's and StyleGAN3's metrics use. Everything is of the whole
composite as 8-bit pixels, as if the images had been saved.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from ctxenc.errors import UserError
from ctxenc.metrics.bootstrap import Figure, figure, means, resampled_means
from ctxenc.paths import expanded

SUBSETS, SUBSET_SIZE = 100, 1000  # for KID, as in Bińkowski et al.
FEWEST_FOR_FID = 10_000  # images, as Heusel et al. advise
SMALLEST_FOR_LPIPS = 64  # pixels: smaller images are enlarged to this

_AT_ONCE = 16  # images through a network: bounds the memory at 256 × 256 to some 3 GB

Images = UInt8[np.ndarray, "n size size 3"]
Features = Float[np.ndarray, "images features"]
Others = Float[np.ndarray, "others features"]


class Network:
    """One network from a TorchScript file, which is tried on a batch of the images' size.

    `flag` is the option that names the file. `prepare` is given a uint8 tensor (N, 3, height,
    width), and the network what it returns, with the `options`.

    Raises:
        UserError: no PyTorch, no such file, not TorchScript, or not the expected output.
    """

    def __init__(
        self,
        flag: str,
        file: str | Path,
        image_size: int,
        prepare: Callable[[Any], Any] = lambda tensor: tensor,
        **options: bool,
    ):
        try:
            import torch  # two seconds, and not among the requirements
        except ImportError:
            needs = f'{flag}: needs PyTorch: pip install "ctxenc[perceptual]"'
            raise UserError(needs) from None
        self._torch, self._name = torch, f"{flag} {file}"
        self._prepare, self._options = prepare, options
        path = expanded(file)
        if not path.is_file():
            raise UserError(f"{self._name}: no such file")
        try:
            # Never torch.load, which reads pickles: they can run anything.
            self._call = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError):
            raise UserError(f"{self._name}: expected a TorchScript file") from None
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        noise = np.random.default_rng(0).integers(0, 256, (2, image_size, image_size, 3), np.uint8)
        self.described = {"file": path.name, "sha256": digest, "features": self(noise).shape[1]}

    def __call__(self, images: Images) -> Any:
        """A row of features, a tensor, for every image."""
        tensor = self._prepare(self._torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        with self._torch.inference_mode():
            try:
                found = self._call(tensor, **self._options)
            except (RuntimeError, TypeError, ValueError):
                raise UserError(
                    f"{self._name}: cannot be called with {tensor.dtype} images of "
                    f"{tuple(tensor.shape[1:])} and {', '.join(self._options)}"
                ) from None
        shape = tuple(getattr(found, "shape", ()))
        if len(shape) != 2 or shape[0] != len(images) or not found.isfinite().all():
            raise UserError(
                f"{self._name}: expected a row of finite features for each image; for "
                f"{len(images)} images it gave {shape or type(found).__name__}"
            )
        return found.float()


def _for_lpips(tensor: Any) -> Any:
    """Floats of 0 to 255, bilinearly enlarged where the images are too small."""
    from torch.nn.functional import interpolate

    if tensor.shape[2] >= SMALLEST_FOR_LPIPS:
        return tensor.float()
    return interpolate(tensor.float(), SMALLEST_FOR_LPIPS, mode="bilinear", align_corners=False)


class Networks:
    """The user's networks, one, both or none, and what they have seen of every row so far."""

    def __init__(self, inception: str | Path | None, lpips: str | Path | None, image_size: int):
        self._inception = self._lpips = None
        if inception is not None:
            self._inception = Network("--inception", inception, image_size, return_features=True)
        if lpips is not None:
            # The squared differences of its features add up to LPIPS (Zhang et al., 2018).
            options = {"resize_images": False, "return_lpips": True}
            self._lpips = Network("--lpips", lpips, image_size, _for_lpips, **options)
        self._features: dict[str, list[np.ndarray]] = defaultdict(list)
        self._distances: dict[str, list[np.ndarray]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._inception or self._lpips)

    def described(self) -> dict[str, Any]:
        """Each network's file, its SHA-256 and how many features it gives."""
        both = {"inception": self._inception, "lpips": self._lpips}
        return {name: network.described for name, network in both.items() if network}

    def look(self, real: Images, rows: dict[str, Float[np.ndarray, "n size size 3"]]) -> None:
        """Look at a batch of real images and every row's composites of them, in [-1, 1]."""
        pixels = {
            name: np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
            for name, images in rows.items()
        }
        for start in range(0, len(real), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            if self._inception:
                for name, images in {"real": real, **pixels}.items():
                    self._features[name].append(self._inception(images[some]).numpy())
            if self._lpips:
                right = self._lpips(real[some])
                for name, images in pixels.items():
                    apart = (self._lpips(images[some]) - right).square().sum(1)
                    self._distances[name].append(apart.double().numpy())

    def figures(self, progress: Callable[[int, int], None]) -> dict[str, dict[str, Figure]]:
        """By row `fid` and `kid` (× 1,000), of two images or more, and `lpips`."""
        found: dict[str, dict[str, Figure]] = defaultdict(dict)
        for row, parts in self._distances.items():
            each = np.concatenate(parts)[:, None]
            interval = figure(np.append(means(each), resampled_means(each)))
            found[row]["lpips"] = {**interval, "images": len(each)}
        features = {row: np.concatenate(parts) for row, parts in self._features.items()}
        real = features.pop("real", np.empty((0, 0)))
        for done, (row, fake) in enumerate(features.items(), 1):
            if (images := len(real)) > 1:
                found[row]["fid"] = {"mean": frechet_distance(real, fake), "images": images}
                found[row]["kid"] = {"mean": 1000 * kernel_distance(real, fake), "images": images}
            progress(done, len(features))
        return dict(found)

    def note(self, images: int) -> str | None:
        """What to say about the figures of so many images."""
        if not self._inception or images >= FEWEST_FOR_FID:
            return None
        return f"FID of {images} images only is too large by chance; expected {FEWEST_FOR_FID:,}"


def frechet_distance(real: Features, fake: Others) -> float:
    """FID, where the features are Inception's (Heusel et al., 2017).

    The Fréchet distance of two normal distributions with the sets' means and covariances; with
    tr √(AB) = tr √(√A B √A), whose matrices are symmetric.

    Raises:
        ValueError: fewer than two images in a set, which have no covariance.
    """
    if min(len(real), len(fake)) < 2:
        raise ValueError("a covariance needs two images or more")
    real, fake = real.astype(float), fake.astype(float)
    shift = real.mean(axis=0) - fake.mean(axis=0)
    one, other = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, fake))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    return float(max(0.0, shift @ shift + np.trace(one) + np.trace(other) - 2 * shared))


def kernel_distance(real: Features, fake: Others) -> float:
    """KID, where the features are Inception's (Bińkowski et al., 2018).

    The unbiased squared maximum mean discrepancy for the kernel (x·y / d + 1)³, which can fall a
    little below zero: the mean over random subsets, or the one value of all images where they are
    no more than a subset. The U-statistic of Gretton et al. (2012), lemma 6, equation 4: row i of
    both sets is of the same image, whose context the composite shares, so such pairs are left out
    of the cross term too.

    Raises:
        ValueError: sets of different sizes, or of fewer than two images.
    """
    count = len(real)
    if count != len(fake) or count < 2:
        raise ValueError(f"expected two sets of as many images, two or more: {count}, {len(fake)}")
    rng, subsets = np.random.default_rng(0), [np.arange(count)]
    if count > SUBSET_SIZE:
        subsets = [rng.choice(count, SUBSET_SIZE, replace=False) for _ in range(SUBSETS)]

    def kernel(a: Features, b: Features) -> float:  # its mean over pairs of different images
        values = (a @ b.T / a.shape[1] + 1) ** 3
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    found = []
    for drawn in subsets:
        one, other = real[drawn].astype(float), fake[drawn].astype(float)
        found.append(kernel(one, one) + kernel(other, other) - 2 * kernel(one, other))
    return float(np.mean(found))
