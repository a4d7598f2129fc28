"""FID, KID and LPIPS, through TorchScript networks that the user brings.

The files are of the form that StyleGAN2's and StyleGAN3's metrics use. Everything is of the whole
composite as 8-bit pixels, as if the images had been saved. ``docs/metrics.md`` says what the
figures can and cannot tell.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from ctxenc.errors import UserError
from ctxenc.metrics.bootstrap import Figure, figure, means, resampled_means
from ctxenc.metrics.fid_kid import frechet_distance, kernel_distance

FEWEST_FOR_FID = 10_000  # images, as Heusel et al. advise
SMALLEST_FOR_LPIPS = 64  # pixels: smaller images are enlarged to this

_AT_ONCE = 16  # images through a network: bounds the memory at 256 × 256 to some 3 GB

Images = UInt8[np.ndarray, "n size size 3"]


class Network:
    """One network from a TorchScript file, called with a batch of 8-bit images.

    Args:
        flag: that the file is given by.
        file: of it.
        image_size: of the images to come: a batch of them is tried.
        options: that the network is called with beside the images.

    Raises:
        UserError: no PyTorch, no such file, not TorchScript, or not the expected output.
    """

    def __init__(self, flag: str, file: str | Path, image_size: int, **options: bool):
        try:
            import torch  # two seconds, and not among the requirements
        except ImportError:
            needs = f'{flag}: needs PyTorch: pip install "ctxenc[perceptual]"'
            raise UserError(needs) from None
        self._torch, self._name, self._options = torch, f"{flag} {file}", options
        path = Path(file).expanduser()
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

    def prepared(self, images: Images) -> Any:
        """A uint8 tensor of channels before rows and columns."""
        return self._torch.from_numpy(images.transpose(0, 3, 1, 2).copy())

    def __call__(self, images: Images) -> Any:
        """A row of features, a tensor, for every image."""
        tensor = self.prepared(images)
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


class Lpips(Network):
    """Gives features whose squared differences add up to LPIPS (Zhang et al., 2018)."""

    def prepared(self, images: Images) -> Any:
        """Floats of 0 to 255, bilinearly enlarged where they are too small."""
        tensor = super().prepared(images).float()
        if images.shape[1] >= SMALLEST_FOR_LPIPS:
            return tensor
        resize = self._torch.nn.functional.interpolate
        return resize(tensor, SMALLEST_FOR_LPIPS, mode="bilinear", align_corners=False)


class Networks:
    """The user's networks, one, both or none, and what they have seen of every row so far."""

    def __init__(self, inception: str | Path | None, lpips: str | Path | None, image_size: int):
        self._inception = self._lpips = None
        if inception is not None:
            self._inception = Network("--inception", inception, image_size, return_features=True)
        if lpips is not None:
            options = {"resize_images": False, "return_lpips": True}
            self._lpips = Lpips("--lpips", lpips, image_size, **options)
        self._features: dict[str, list[np.ndarray]] = {}
        self._distances: dict[str, list[np.ndarray]] = {}

    def __bool__(self) -> bool:
        return bool(self._inception or self._lpips)

    def described(self) -> dict[str, Any]:
        """For ``metrics.json``: each network's file, its SHA-256 and how many features it gives."""
        both = {"inception": self._inception, "lpips": self._lpips}
        return {name: network.described for name, network in both.items() if network}

    def look(self, real: Images, rows: dict[str, Float[np.ndarray, "n size size 3"]]) -> None:
        """Look at a batch of real images and every row's composites of them, in [-1, 1]."""
        composites = {name: _pixels(images) for name, images in rows.items()}
        for start in range(0, len(real), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            if self._inception:
                for name, images in {"real": real, **composites}.items():
                    features = self._inception(images[some]).numpy()
                    self._features.setdefault(name, []).append(features)
            if self._lpips:
                right = self._lpips(real[some])
                for name, images in composites.items():
                    apart = (self._lpips(images[some]) - right).square().sum(1)
                    self._distances.setdefault(name, []).append(apart.double().numpy())

    def figures(self, progress: Callable[[int, int], None]) -> dict[str, dict[str, Figure]]:
        """By row `fid`, `kid` (× 1,000) and `lpips`, of all images seen.

        Of one image alone there is neither `fid` nor `kid`.

        Args:
            progress: told how many rows' distances are worked out, and of how many.
        """
        found: dict[str, dict[str, Figure]] = {}
        for row, parts in self._distances.items():
            each = np.concatenate(parts)[:, None]
            interval = figure(np.append(means(each), resampled_means(each)))
            found[row] = {"lpips": {**interval, "images": len(each)}}
        features = {row: np.concatenate(parts) for row, parts in self._features.items()}
        real = features.pop("real", np.empty((0, 0)))
        for done, (row, fake) in enumerate(features.items(), 1):
            if len(real) > 1:
                fid, kid = frechet_distance(real, fake), 1000 * kernel_distance(real, fake)
                distances = {"fid": fid, "kid": kid}.items()
                both = {name: {"mean": value, "images": len(real)} for name, value in distances}
                found.setdefault(row, {}).update(both)
            progress(done, len(features))
        return found

    def note(self, images: int) -> str | None:
        """What to say about the figures of so many images."""
        if not self._inception or images >= FEWEST_FOR_FID:
            return None
        return f"FID of {images} images only is too large by chance; expected {FEWEST_FOR_FID:,}"


def _pixels(images: Float[np.ndarray, "n size size 3"]) -> Images:
    return np.clip(np.round((images + 1) * 127.5), 0, 255).astype(np.uint8)
