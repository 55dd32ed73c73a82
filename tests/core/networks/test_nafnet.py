"""NAFNet: its bands of rows against the whole."""

from __future__ import annotations

import pytest
import torch

from autodir_core.networks import nafnet
from autodir_core.networks.nafnet import NAFNet
from tests.distance import relative


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("batch", [1, 2])
def test_bands_of_rows_give_what_the_whole_gives(monkeypatch, memory_format, batch):
    torch.manual_seed(0)
    net = NAFNet(8, (1, 2), middle_blocks=1, decoder_blocks=(1, 1)).to(memory_format=memory_format)
    for parameter in net.parameters():
        parameter.data.normal_(0, 0.2)
    degraded, generated = torch.rand(2, batch, 3, 37, 22)
    expected = net(degraded, generated).detach()
    monkeypatch.setattr(nafnet, "CACHE_VALUES", 8 * 24 * 5)
    with torch.no_grad():
        assert relative(net(degraded, generated), expected) < 1e-6
