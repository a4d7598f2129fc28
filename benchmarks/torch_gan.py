"""The same networks and training step in PyTorch, for comparison."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._dynamo import config as dynamo
from torch.nn import functional as F

# All networks share the code of `nn.Sequential`; beyond the limit it would be left uncompiled.
dynamo.recompile_limit = 64


class ChannelwiseDense(nn.Module):
    """Each channel's map through its own matrix."""

    def __init__(self, channels: int, positions: int):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(channels, positions, positions) / positions)
        self.bias = nn.Parameter(torch.zeros(channels, positions))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) in and out."""
        maps = x.flatten(2).transpose(0, 1)
        mixed = torch.baddbmm(self.bias[:, None], maps, self.kernel)
        return mixed.transpose(0, 1).reshape(x.shape)


def down(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    """A 4 × 4 convolution of stride 2, padded as SAME pads it."""
    return nn.Conv2d(inputs, outputs, 4, 2, 1, bias=bias)


def up(inputs: int, outputs: int, *, bias: bool = True) -> nn.ConvTranspose2d:
    """A 4 × 4 up-convolution of stride 2."""
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias)


def norm(features: int) -> nn.BatchNorm2d:
    """Batch normalisation as ctxenc has it."""
    return nn.BatchNorm2d(features, eps=1e-3, momentum=0.1)


def generator(model: str) -> nn.Module:
    """`model=cifar` or `tf_original`, for 32 × 32 images and 16 × 16 holes, or `paper_center`."""
    if model == "paper_center":
        return paper_generator()
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 128), (128, 256), (256, 512)):
        layers += [down(inputs, outputs), nn.ReLU(), norm(outputs)]
    if model == "cifar":
        layers += [ChannelwiseDense(512, 16)]
    else:
        layers += [nn.Conv2d(512, 4000, 4), nn.ConvTranspose2d(4000, 512, 4)]
    layers += [norm(512), nn.LeakyReLU(0.2), up(512, 256), nn.LeakyReLU(0.2), norm(256)]
    return nn.Sequential(*layers, up(256, 3), nn.Tanh())


def discriminator(model: str) -> nn.Module:
    """That of `generator`'s model, on its holes."""
    if model == "paper_center":
        return paper_discriminator()
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 64), (64, 128), (128, 256)):
        layers += [down(inputs, outputs), nn.LeakyReLU(0.2), norm(outputs)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 1))


def paper_generator() -> nn.Module:
    """The authors', for 128 × 128 images and 64 × 64 holes; no convolution has a bias."""
    layers: list[nn.Module] = [down(3, 64, bias=False), nn.LeakyReLU(0.2)]
    for inputs, outputs in ((64, 64), (64, 128), (128, 256), (256, 512)):
        layers += [down(inputs, outputs, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(512, 4000, 4, bias=False), nn.BatchNorm2d(4000), nn.LeakyReLU(0.2)]
    layers += [nn.ConvTranspose2d(4000, 512, 4, bias=False), nn.BatchNorm2d(512), nn.ReLU()]
    for inputs, outputs in ((512, 256), (256, 128), (128, 64)):
        layers += [up(inputs, outputs, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, up(64, 3, bias=False), nn.Tanh())


def paper_discriminator() -> nn.Module:
    """The authors', for 64 × 64 holes."""
    layers: list[nn.Module] = [down(3, 64, bias=False), nn.LeakyReLU(0.2)]
    for inputs, outputs in ((64, 128), (128, 256), (256, 512)):
        layers += [down(inputs, outputs, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, bias=False), nn.Flatten())


def train_step(
    model: str, images: Tensor, *, channels_last: bool, compiled: bool, bfloat16: bool = False
) -> Callable[[], None]:
    """A function that takes one step: both losses from one pass of the generator, two Adams.

    `images` are (batch, 3, size, size) in [-1, 1], on the device to compute on; the hole is their
    central half. With `bfloat16` the networks are applied under autocast.
    """
    device = images.device
    networks = [generator(model).to(device), discriminator(model).to(device)]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    networks = [net.to(memory_format=layout) for net in networks]
    images = images.to(memory_format=layout)
    parameters = [list(net.parameters()) for net in networks]
    rates = (5e-4, 1e-4)
    adams = [
        torch.optim.Adam(p, lr=lr, eps=1e-7, foreach=True)
        for p, lr in zip(parameters, rates, strict=True)
    ]
    fill, judge = (torch.compile(net, dynamic=False) if compiled else net for net in networks)
    quarter = images.shape[2] // 4
    hole = (..., slice(quarter, 3 * quarter), slice(quarter, 3 * quarter))
    holes = images[hole].contiguous(memory_format=layout)
    masked = images.clone()
    masked[hole] = 1.0

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            fills = fill(masked).float()
            on_real, on_fake = judge(holes)[:, 0].float(), judge(fills)[:, 0].float()
        d_loss = 0.5 * (F.softplus(-on_real).mean() + F.softplus(on_fake).mean())
        g_loss = 0.999 * F.mse_loss(fills, holes) + 1e-3 * F.softplus(-on_fake).mean()
        grads_d = torch.autograd.grad(d_loss, parameters[1], retain_graph=True)
        grads_g = torch.autograd.grad(g_loss, parameters[0])
        for adam, owned, grads in zip(adams, parameters, (grads_g, grads_d), strict=True):
            for parameter, grad in zip(owned, grads, strict=True):
                parameter.grad = grad
            adam.step()

    return step
