import numpy as np
import pytest
from scipy import linalg

from ctxenc.metrics import torchscript
from ctxenc.metrics.torchscript import frechet_distance, kernel_distance


def normal(count, mean, deviation, seed=0):
    """Points whose sample mean and covariance are exactly `mean` and diag(deviation²)."""
    drawn = np.random.default_rng(seed).normal(size=(count, len(mean)))
    drawn -= drawn.mean(axis=0)
    drawn = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False))).T
    return drawn * deviation + mean


def test_frechet_of_diagonal_gaussians_has_a_closed_form():
    one, other = np.array([0.0, 1.0, -2.0]), np.array([0.5, 1.0, 3.0])
    a, b = np.array([1.0, 0.2, 3.0]), np.array([2.0, 0.2, 0.5])
    found = frechet_distance(normal(50, one, a), normal(80, other, b, seed=1))
    assert found == pytest.approx(((one - other) ** 2).sum() + ((a - b) ** 2).sum(), rel=1e-9)


def test_frechet_is_that_of_a_general_matrix_square_root():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12))
    fake = rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12)) + 1
    a, b = np.cov(real.T), np.cov(fake.T)
    shift = real.mean(0) - fake.mean(0)
    expected = shift @ shift + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-8)


def test_frechet_of_fewer_images_than_features():
    """Covariances without an inverse; tr √(AB) is then the nuclear norm of the sets' product."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(20, 60)), rng.normal(size=(30, 60)) * 2 + 0.5
    one, other = (x - x.mean(0) for x in (real, fake))
    shared = np.linalg.norm(one @ other.T, "nuc") / np.sqrt(19 * 29)
    shift = real.mean(0) - fake.mean(0)
    expected = shift @ shift + (one**2).sum() / 19 + (other**2).sum() / 29 - 2 * shared
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-4)


def test_kernel_distance_is_a_double_loop_over_pairs_of_different_images():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(9, 4)), rng.normal(size=(9, 4)) + 0.5

    def k(x, y):
        return (x @ y / 4 + 1) ** 3

    total = 0.0
    for i in range(9):
        for j in range(9):
            if i != j:
                total += k(real[i], real[j]) + k(fake[i], fake[j])
                total -= k(real[i], fake[j]) + k(fake[i], real[j])
    assert kernel_distance(real, fake) == pytest.approx(total / (9 * 8), rel=1e-12)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_kernel_distance_of_one_distribution_is_zero_on_average(shared):
    """Also where row i of both sets has much in common, as a composite has with its image."""
    rng, found = np.random.default_rng(1), []
    for _ in range(400):
        common, one, other = rng.normal(size=(3, 30, 6))
        own = np.sqrt(1 - shared**2)
        found.append(kernel_distance(shared * common + own * one, shared * common + own * other))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert error < 0.02  # with the pairs of the same image the second would be -0.4


def test_kernel_distance_by_subsets_nears_that_of_all(monkeypatch):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(400, 5)), 1.3 * rng.normal(size=(400, 5)) + 0.3
    whole = kernel_distance(real, fake)
    monkeypatch.setattr(torchscript, "SUBSETS", 50)
    monkeypatch.setattr(torchscript, "SUBSET_SIZE", 100)
    found = kernel_distance(real, fake)
    assert found == kernel_distance(real, fake) != whole
    assert found == pytest.approx(whole, rel=0.1)
    assert kernel_distance(real, real) == pytest.approx(0, abs=1e-12)


def test_too_few_images():
    with pytest.raises(ValueError, match="two images or more"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="as many images"):
        kernel_distance(np.zeros((4, 3)), np.zeros((5, 3)))
