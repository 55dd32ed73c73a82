"""Progress and previews as `nodes/comfy/progress.py` reports them to ComfyUI."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from tests.nodes.conftest import Methods


@pytest.fixture
def progress(comfy):
    return comfy("progress")


class TestPreview:
    """A picture that cannot be scaled or saved as JPEG would end the whole ComfyUI process."""

    @pytest.mark.parametrize("mode", ["RGBA", "L", "I;16", "P"])
    def test_only_rgb_is_sent(self, progress, mode):
        kind, picture, limit = progress.jpeg_preview(Image.new(mode, (8, 4)))
        assert (kind, picture.mode, picture.size, limit) == ("JPEG", "RGB", (8, 4), 512)

    @pytest.mark.parametrize("size", [(0, 0), (0, 5), (600, 1)])
    def test_nothing_is_sent_that_scales_to_nothing(self, progress, size):
        assert progress.jpeg_preview(Image.new("RGB", size)) is None

    def test_none_is_made_unless_asked_for(self, progress, model):
        assert progress.latent_previewer(model.model)(5, torch.zeros(1, 4, 8, 8)) is None

    def test_other_latents_are_decoded_small_every_few_steps(self, progress, model, monkeypatch):
        monkeypatch.setattr(progress.args, "preview_method", Methods.Latent2RGB)
        monkeypatch.setattr(progress, "SD15_LATENT", (16, 8))
        preview = progress.latent_previewer(model.model)
        estimate = torch.randn(2, 4, 16, 24)
        assert [preview(step, estimate) is not None for step in range(1, 11)] == ([False] * 4 + [True]) * 2
        assert preview(5, estimate).size == (6 * 8, 4 * 8)
        assert preview(5, torch.randn(1, 4, 2, 2)).size == (8, 8)

    def test_the_latents_comfyui_knows_get_its_own(self, progress, model, monkeypatch):
        monkeypatch.setattr(progress.args, "preview_method", Methods.Latent2RGB)

        class Previewer:
            def decode_latent_to_preview(self, estimate):
                return Image.new("RGB", (estimate.shape[3], estimate.shape[2]))

        monkeypatch.setattr(progress.latent_preview, "get_previewer", lambda device, kind: Previewer())
        assert progress.latent_previewer(model.model)(1, torch.zeros(1, 4, 8, 16)).size == (16, 8)

    def test_a_step_after_cancel_stops(self, progress, model, monkeypatch):
        class CancelledError(Exception):
            pass

        def stop():
            raise CancelledError

        watch = progress.StepProgress(model.model, 3)
        watch(1, torch.zeros(1, 4, 8, 8))
        monkeypatch.setattr(progress.comfy.model_management, "throw_exception_if_processing_interrupted", stop)
        with pytest.raises(CancelledError):
            watch(2, torch.zeros(1, 4, 8, 8))
        assert watch.bar.done == [1]
