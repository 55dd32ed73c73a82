"""Initialises the correction to give back the degraded picture."""

from __future__ import annotations

import torch
from torch import nn

from autodir_core.networks.nafnet import NAFNet


@torch.no_grad()
def init_residual_correction(scm: NAFNet) -> None:
    """Let a freshly built correction return the residual degraded - generated.

    Its blocks are identities; the first three filters carry the degraded picture, the next three the generated one.
    """
    nn.init.dirac_(scm.intro.weight[:6])
    scm.get_parameter("intro.bias")[:6] = 0
    for up in scm.ups:
        up.get_parameter("0.weight").mul_(0.1)
    scm.ups[-1].get_parameter("0.weight")[: 6 * 4] = 0  # four shuffled channels become one channel of the picture
    scm.ending.weight.mul_(0.1)
    scm.ending.weight[:, :6] = 0
    scm.get_parameter("ending.bias").zero_()
    scm.ending.weight[range(3), range(3), 1, 1] = 1
    scm.ending.weight[range(3), range(3, 6), 1, 1] = -1
