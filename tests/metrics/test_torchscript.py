"""The user's networks, by small stand-ins with the published files' interface."""

import hashlib
import sys

import numpy as np
import pytest
from scipy import ndimage

from ctxenc.errors import UserError
from ctxenc.metrics.torchscript import Networks, frechet_distance, kernel_distance
from tests import stand_ins


@pytest.fixture
def inception(tmp_path):
    return stand_ins.save_inception(tmp_path / "inception.pt")


@pytest.fixture
def lpips(tmp_path):
    return stand_ins.save_lpips(tmp_path / "lpips.pt")


def some(count=40, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def composites(real):
    """Real but for a flat hole, in [-1, 1]."""
    filled = real / 127.5 - 1
    filled[:, 4:12, 4:12] = 0.3
    return filled.astype(np.float32)


def seen_by(networks, real, rows):
    for start in range(0, len(real), 24):
        part = slice(start, start + 24)
        networks.look(real[part], {name: images[part] for name, images in rows.items()})
    return networks.figures(lambda done, of: None)


def test_without_files_there_is_nothing_and_no_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    networks = Networks(None, None, 16)
    assert not networks
    assert networks.described() == {}
    assert networks.figures(lambda done, of: None) == {}
    assert networks.note(3) is None


@pytest.mark.parametrize("flag", ["inception", "lpips"])
def test_without_pytorch_it_says_what_to_install(monkeypatch, flag):
    monkeypatch.setitem(sys.modules, "torch", None)
    files = {"inception": None, "lpips": None, flag: "any.pt"}
    with pytest.raises(UserError) as told:
        Networks(**files, image_size=16)
    assert str(told.value) == f'--{flag}: needs PyTorch: pip install "ctxenc[perceptual]"'


def test_fid_and_kid_are_of_all_batches_as_8_bit_images(inception):
    real = some()
    filled = composites(real)
    found = seen_by(
        Networks(inception, None, 16), real, {"model": filled, "same": real / 127.5 - 1}
    )
    saved = np.round((filled + 1) * 127.5) / 255

    def features(images):
        means = images.mean((1, 2))
        # PyTorch's standard deviation is of n - 1.
        return np.hstack([means, images.std((1, 2), ddof=1), means * np.roll(means, 1, 1)])

    one, other = features(real / 255), features(saved)
    model, same = found["model"], found["same"]
    assert model["fid"]["mean"] == pytest.approx(frechet_distance(one, other), rel=1e-3)
    assert model["kid"]["mean"] == pytest.approx(1000 * kernel_distance(one, other), rel=1e-3)
    assert model["fid"]["mean"] > 100 * same["fid"]["mean"]
    assert same["kid"]["mean"] == pytest.approx(0, abs=1e-6)
    assert model["fid"]["images"] == model["kid"]["images"] == 40
    assert "lpips" not in model


def test_one_image_has_no_distribution(inception, lpips):
    real = some(1)
    found = seen_by(Networks(inception, lpips, 16), real, {"model": composites(real)})
    assert set(found["model"]) == {"lpips"}


@pytest.mark.parametrize("size", [16, 64])
def test_lpips_is_of_pairs_enlarged_to_64_pixels(lpips, size):
    real = some(size=size)
    filled = composites(real)
    found = seen_by(Networks(None, lpips, size), real, {"model": filled, "same": real / 127.5 - 1})

    def pooled(images):
        if size < 64:  # bilinear, the pixels' centres kept
            images = ndimage.zoom(
                images, (1, 4, 4, 1), order=1, mode="nearest", grid_mode=True, prefilter=False
            )
        return images.reshape(len(images), 16, 4, 16, 4, 3).mean((2, 4))

    saved = np.round((filled + 1) * 127.5) / 255
    each = ((pooled(saved) - pooled(real / 255)) ** 2).mean((1, 2, 3))
    figure = found["model"]["lpips"]
    assert figure["mean"] == pytest.approx(each.mean(), rel=1e-4)
    assert figure["low"] < figure["mean"] < figure["high"]
    error = each.std() / np.sqrt(40)
    assert figure["high"] - figure["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert figure["images"] == 40
    assert found["same"]["lpips"]["mean"] == 0


def test_the_files_are_told_apart_by_their_hash(inception, lpips):
    described = Networks(inception, lpips, 16).described()
    for name, file, features in (("inception", inception, 9), ("lpips", lpips, 16 * 16 * 3)):
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        assert described[name] == {"file": file.name, "sha256": sha256, "features": features}


def test_fid_of_few_images_is_noted(inception, lpips):
    assert "FID of 9999 images only" in Networks(inception, None, 16).note(9999)
    assert Networks(inception, None, 16).note(10_000) is None
    assert Networks(None, lpips, 16).note(3) is None


def misfit(kind):
    torch = pytest.importorskip("torch")

    class OtherOptions(torch.nn.Module):
        def forward(self, images, return_lpips: bool):
            return images.float().mean([2, 3])

    class Maps(torch.nn.Module):
        def forward(self, images, return_features: bool):
            return images.float()

    class NotFinite(torch.nn.Module):
        def forward(self, images, return_features: bool):
            return images.float().mean([2, 3]) / 0.0

    class Pair(torch.nn.Module):
        def forward(self, images, return_features: bool):
            return images, images

    return {c.__name__: c for c in (OtherOptions, Maps, NotFinite, Pair)}[kind]()


BAD = {
    "OtherOptions": "cannot be called with torch.uint8 images of (3, 16, 16) and return_features",
    "Maps": "for 2 images it gave (2, 3, 16, 16)",
    "NotFinite": "a row of finite features",
    "Pair": "for 2 images it gave tuple",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_network_that_does_not_fit_is_refused(tmp_path, kind):
    file = stand_ins.save(tmp_path / "other.pt", misfit(kind))
    with pytest.raises(UserError) as told:
        Networks(file, None, 16)
    assert str(told.value).startswith(f"--inception {file}: ")
    assert BAD[kind] in str(told.value)
    assert "\n" not in str(told.value)


def test_files_that_are_no_networks_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    with pytest.raises(UserError, match=r"--lpips .*nowhere\.pt: no such file"):
        Networks(None, tmp_path / "nowhere.pt", 16)
    with pytest.raises(UserError, match="no such file"):
        Networks(None, tmp_path, 16)
    (tmp_path / "text.pt").write_text("weights")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "pickle.pt")
    for name in ("text.pt", "pickle.pt"):
        with pytest.raises(UserError, match=rf"{name}: expected a TorchScript file"):
            Networks(None, tmp_path / name, 16)
