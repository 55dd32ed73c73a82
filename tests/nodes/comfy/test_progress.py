"""Progress and previews as `nodes/comfy/progress.py` reports them to ComfyUI."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from tests.nodes.conftest import Methods


@pytest.fixture
def progress(comfy):
    return comfy("progress")


def at_step(progress, step):
    """A finished step of the twelve of a picture."""
    return progress.Progress(0, 0, step, 12)


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
        assert progress.latent_previewer(model.model)(at_step(progress, 5), torch.zeros(1, 4, 8, 8)) is None

    def test_other_latents_are_decoded_every_few_steps_and_at_the_last(self, progress, model, monkeypatch):
        """The page leaves the last preview on the node after the run."""
        monkeypatch.setattr(progress.args, "preview_method", Methods.Latent2RGB)
        monkeypatch.setattr(progress, "SD15_LATENT", (16, 8))
        preview = progress.latent_previewer(model.model)
        estimate = torch.randn(2, 4, 2, 3)
        shown = [step for step in range(1, 13) if preview(at_step(progress, step), estimate) is not None]
        assert shown == [5, 10, 12]

    @pytest.mark.parametrize(
        ("latent", "size"), [((2, 3), (24, 16)), ((24, 32), (256, 192)), ((24, 33), (128, 96)), ((1, 80), (208, 8))]
    )
    def test_they_are_decoded_to_a_size_that_costs_little(self, progress, model, monkeypatch, latent, size):
        monkeypatch.setattr(progress.args, "preview_method", Methods.Latent2RGB)
        monkeypatch.setattr(progress, "SD15_LATENT", (16, 8))
        estimate = torch.randn(2, 4, *latent)
        assert progress.latent_previewer(model.model)(at_step(progress, 5), estimate).size == size

    def test_the_latents_comfyui_knows_get_its_own(self, progress, model, monkeypatch):
        monkeypatch.setattr(progress.args, "preview_method", Methods.Latent2RGB)

        class Previewer:
            def decode_latent_to_preview(self, estimate):
                return Image.new("RGB", (estimate.shape[3], estimate.shape[2]))

        monkeypatch.setattr(progress.latent_preview, "get_previewer", lambda device, kind: Previewer())
        assert progress.latent_previewer(model.model)(at_step(progress, 1), torch.zeros(1, 4, 8, 16)).size == (16, 8)

    def test_a_step_after_cancel_stops(self, progress, model, monkeypatch):
        class CancelledError(Exception):
            pass

        def stop():
            raise CancelledError

        watch = progress.NodeProgress(model.model)
        watch.move(0, 0.25)
        monkeypatch.setattr(progress.comfy.model_management, "throw_exception_if_processing_interrupted", stop)
        for report in (
            lambda: watch.move(0, 0.5),
            lambda: watch.on_tile(0)(1, 2),
            lambda: watch.on_step(pack_progress(progress), torch.zeros(1, 4, 8, 8)),
        ):
            with pytest.raises(CancelledError):
                report()
        assert watch.bar.done == [250]

    def test_the_bar_fills_over_all_pictures(self, progress, model):
        watch = progress.NodeProgress(model.model, 2)
        for picture in (0, 1):
            for done in range(3):
                watch.on_tile(picture)(done, 2)
        assert watch.bar.done == [0, 250, 500, 500, 750, 1000]


def pack_progress(progress):
    return progress.Progress(picture=0, round=0, step=1, steps=3)
