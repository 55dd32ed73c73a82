"""The correction's initialisation: it gives back the degraded picture."""

from __future__ import annotations

import torch

from autodir_core.networks.build import build_scm
from autodir_core.networks.config import SCMConfig
from autodir_lab.training.init.residual_correction import init_residual_correction


@torch.no_grad()
def test_an_initialised_correction_returns_the_degraded_picture():
    torch.manual_seed(0)
    scm = build_scm(SCMConfig(width=8, encoder_blocks=(1,), middle_blocks=1, decoder_blocks=(1,))).eval()
    degraded, generated = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    before = (scm(degraded, generated) - degraded).square().mean()
    init_residual_correction(scm)
    assert (scm(degraded, generated) - degraded).square().mean() < 0.01 * before
