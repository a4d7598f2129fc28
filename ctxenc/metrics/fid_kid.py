"""How far apart two sets of images are, from a network's features of them: FID and KID.

Row i of both sets is of the same test image: the real one, and a composite made from its context.
"""

import numpy as np
from jaxtyping import Float

SUBSETS, SUBSET_SIZE = 100, 1000  # as in Bińkowski et al.

Features = Float[np.ndarray, "images features"]
Others = Float[np.ndarray, "others features"]


def frechet_distance(real_features: Features, fake_features: Others) -> float:
    """The Fréchet distance of two normal distributions with the sets' means and covariances.

    FID, where the features are Inception's (Heusel et al., 2017). The trace of the square root of
    the covariances' product is taken from symmetric matrices alone: tr √(AB) = tr √(√A B √A).

    Raises:
        ValueError: fewer than two images in a set, which have no covariance.
    """
    if min(len(real_features), len(fake_features)) < 2:
        raise ValueError("a covariance needs two images or more")
    real, fake = real_features.astype(float), fake_features.astype(float)
    shift = real.mean(axis=0) - fake.mean(axis=0)
    one, other = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, fake))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    return float(max(0.0, shift @ shift + np.trace(one) + np.trace(other) - 2 * shared))


def kernel_distance(
    real: Features,
    fake: Others,
    *,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = 0,
) -> float:
    """The unbiased squared maximum mean discrepancy for the kernel (x·y / d + 1)³.

    KID, where the features are Inception's (Bińkowski et al., 2018): the mean over random subsets,
    or the one value of all images where they are no more than `size`. The estimator is the
    U-statistic of Gretton et al. (2012), lemma 6, equation 4: pairs of the same image are left out
    of the cross term too. A composite shares its image's context, and with those pairs the
    estimate would be too low. It can fall a little below zero.

    Raises:
        ValueError: sets of different sizes, or of fewer than two images.
    """
    count = len(real)
    if count != len(fake) or count < 2:
        raise ValueError(f"expected two sets of as many images, two or more: {count}, {len(fake)}")
    if count <= size:
        return _discrepancy(real.astype(float), fake.astype(float))
    rng, found = np.random.default_rng(seed), []
    for _ in range(subsets):
        drawn = rng.choice(count, size, replace=False)
        found.append(_discrepancy(real[drawn].astype(float), fake[drawn].astype(float)))
    return float(np.mean(found))


def _discrepancy(real: Features, fake: Features) -> float:
    def kernel(a: Features, b: Features) -> float:
        """The kernel's mean over pairs of different images."""
        values = (a @ b.T / a.shape[1] + 1) ** 3
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    return float(kernel(real, real) + kernel(fake, fake) - 2 * kernel(real, fake))
