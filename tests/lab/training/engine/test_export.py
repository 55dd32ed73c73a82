"""What the official code loads in addition to the weights: the noise schedule and CLIP's position ids."""

from __future__ import annotations

import torch

from autodir_core.checkpoint.key_map import NOT_NEEDED
from autodir_core.diffusion.schedule import alphas_cumprod
from autodir_lab.training.engine.export import official_buffers
from autodir_lab.training.recipes.recipe import read_recipe


def test_the_buffers_are_complete_and_right():
    buffers = official_buffers(read_recipe("mini").config.clip)
    assert buffers.keys() == NOT_NEEDED
    product = buffers["alphas_cumprod"]
    assert torch.equal(product, alphas_cumprod()) and product.dtype == torch.float32
    assert buffers["betas"][[0, -1]].tolist() == torch.tensor([0.00085, 0.012]).tolist()
    assert buffers["alphas_cumprod_prev"][0] == 1 and torch.equal(buffers["alphas_cumprod_prev"][1:], product[:-1])
    assert torch.allclose(buffers["sqrt_recip_alphas_cumprod"] ** -2, product)
    assert buffers["posterior_variance"][0] == 0, "nothing is left to guess at the first step"
    sums = buffers["posterior_mean_coef1"] * product.sqrt() ** -1 * buffers["alphas_cumprod_prev"].sqrt()
    assert torch.isfinite(sums).all() and torch.isfinite(buffers["posterior_log_variance_clipped"]).all()
    positions = [buffers[key] for key in sorted(buffers) if key.endswith("position_ids")]
    assert [tuple(p.shape) for p in positions] == [(1, 77), (1, 785)]
    assert all(p.dtype == torch.int64 and p[0, -1] == p.shape[1] - 1 for p in positions)
