"""The same networks and training step in PyTorch, for comparison."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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


def down(inputs: int, outputs: int) -> nn.Conv2d:
    """A 4 × 4 convolution of stride 2, padded as SAME pads it."""
    return nn.Conv2d(inputs, outputs, 4, 2, 1)


def up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """A 4 × 4 up-convolution of stride 2."""
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)


def norm(features: int) -> nn.BatchNorm2d:
    """Batch normalisation as ctxenc has it."""
    return nn.BatchNorm2d(features, eps=1e-3, momentum=0.1)


def generator(bottleneck: int | None) -> nn.Module:
    """`model=cifar` (None) or `model=tf_original` (4000), for 32 × 32 images and 16 × 16 holes."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 128), (128, 256), (256, 512)):
        layers += [down(inputs, outputs), nn.ReLU(), norm(outputs)]
    if bottleneck is None:
        layers += [ChannelwiseDense(512, 16)]
    else:
        layers += [nn.Conv2d(512, bottleneck, 4), nn.ConvTranspose2d(bottleneck, 512, 4)]
    layers += [norm(512), nn.LeakyReLU(0.2), up(512, 256), nn.LeakyReLU(0.2), norm(256)]
    return nn.Sequential(*layers, up(256, 3), nn.Tanh())


def discriminator() -> nn.Module:
    """The discriminator of both, on 16 × 16 holes."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 64), (64, 128), (128, 256)):
        layers += [down(inputs, outputs), nn.LeakyReLU(0.2), norm(outputs)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 1))


def train_step(
    bottleneck: int | None, images: Tensor, *, channels_last: bool, compiled: bool
) -> Callable[[], None]:
    """A function that takes one step: both losses from one pass of the generator, two Adams."""
    networks = [generator(bottleneck), discriminator()]
    if channels_last:
        networks = [net.to(memory_format=torch.channels_last) for net in networks]
        images = images.to(memory_format=torch.channels_last)
    parameters = [list(net.parameters()) for net in networks]
    rates = (5e-4, 1e-4)
    adams = [
        torch.optim.Adam(p, lr=lr, eps=1e-7, foreach=True)
        for p, lr in zip(parameters, rates, strict=True)
    ]
    fill, judge = (torch.compile(net) if compiled else net for net in networks)
    holes = images[:, :, 8:24, 8:24].contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )
    masked = images.clone()
    masked[:, :, 8:24, 8:24] = 1.0

    def step() -> None:
        fills = fill(masked)
        on_real, on_fake = judge(holes)[:, 0], judge(fills)[:, 0]
        d_loss = 0.5 * (F.softplus(-on_real).mean() + F.softplus(on_fake).mean())
        g_loss = 0.999 * F.mse_loss(fills, holes) + 1e-3 * F.softplus(-on_fake).mean()
        grads_d = torch.autograd.grad(d_loss, parameters[1], retain_graph=True)
        grads_g = torch.autograd.grad(g_loss, parameters[0])
        for adam, owned, grads in zip(adams, parameters, (grads_g, grads_d), strict=True):
            for parameter, grad in zip(owned, grads, strict=True):
                parameter.grad = grad
            adam.step()

    return step
