"""Small TorchScript networks that are called as StyleGAN2's ``inception`` and ``vgg16`` files."""

import pytest


def save_inception(file):
    """Nine features: the colours' means, deviations and products. Skips without PyTorch."""
    torch = pytest.importorskip("torch")

    class Inception(torch.nn.Module):
        def forward(self, images, return_features: bool = False):
            assert images.dtype == torch.uint8
            assert images.size(1) == 3
            x = images.float() / 255
            means = x.mean([2, 3])
            features = torch.cat([means, x.std([2, 3]), means * means.roll(1, 1)], 1)
            return features if return_features else features[:, :1]

    return save(file, Inception())


def save_lpips(file):
    """Features of which LPIPS is the mean squared difference of means of 4 × 4 pixels."""
    torch = pytest.importorskip("torch")

    class Lpips(torch.nn.Module):
        def forward(self, images, resize_images: bool = True, return_lpips: bool = False):
            assert images.dtype == torch.float32
            assert min(images.size(2), images.size(3)) >= 64
            assert return_lpips
            assert not resize_images
            x = torch.nn.functional.avg_pool2d(images / 255, 4).flatten(1)
            return x / x.size(1) ** 0.5

    return save(file, Lpips())


def save(file, module):
    """As TorchScript."""
    torch = pytest.importorskip("torch")
    torch.jit.script(module).save(str(file))
    return file
