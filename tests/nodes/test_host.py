"""The services of ComfyUI as `nodes/host.py` uses them: memory, progress, previews."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.nodes.conftest import Methods, StandIn


@pytest.fixture
def host(pack):
    return pack.services


class TestExamples:
    """The pictures of the shared workflows, which Load Image looks for in the input folder."""

    ASSETS = Path(__file__).resolve().parents[2] / "autodir_core/assets"

    @pytest.fixture
    def folder(self, host, tmp_path, monkeypatch):
        monkeypatch.setattr(host.folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
        return tmp_path / "input"

    def test_loading_the_pack_has_put_them_there(self, pack):
        found = {path.name: path.read_bytes() for path in StandIn.input.iterdir()}
        kept = {path.name: path.read_bytes() for path in self.ASSETS.glob("*.png")}
        assert found == {f"autodir_{name}": content for name, content in kept.items()}

    def test_a_file_of_that_name_stays(self, host, folder):
        folder.mkdir()
        (folder / "autodir_dark.png").write_text("the user's own")
        host.offer_examples()
        assert (folder / "autodir_dark.png").read_text() == "the user's own"
        assert len(list(folder.iterdir())) == len(host.EXAMPLES)

    def test_nothing_is_written_when_all_are_there(self, host, folder, monkeypatch):
        host.offer_examples()
        monkeypatch.delattr(host.shutil, "copyfile")
        host.offer_examples()

    def test_a_folder_that_cannot_be_written_is_one_line_of_the_log(self, host, folder, caplog):
        folder.write_text("a file in its place")
        host.offer_examples()
        (record,) = caplog.records
        assert "cannot write into" in record.getMessage() and "\n" not in record.getMessage()


class TestMemory:
    def test_room_is_asked_for_as_comfyui_estimates_its_vae(self, model, stand_in):
        model.ready(512, 512)
        base_channels, bytes_per_value = 32, 4
        assert stand_in.loads == [
            {"memory_required": 17 * base_channels * 512 * 512 * bytes_per_value, "force_full_load": True}
        ]

    def test_what_comfyui_left_behind_is_moved(self, host):
        """As with --novram, where plain torch layers stay on the CPU and pass as loaded."""

        class Model:
            networks = torch.nn.Linear(2, 2)

        hosted = host.HostedModel(Model())
        hosted.patcher.load_device = torch.device("meta")
        hosted.load_the_rest()
        assert {parameter.device.type for parameter in Model.networks.parameters()} == {"meta"}
        assert Model.networks.model_loaded_weight_memory == hosted.patcher.model_size()

    def test_what_is_in_place_is_left_alone(self, model):
        model.load_the_rest()
        assert not hasattr(model.model.networks, "model_loaded_weight_memory")


class TestPrecision:
    @pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
    def test_auto_follows_comfyui(self, pack, host, monkeypatch, half):
        management = host.comfy.model_management
        monkeypatch.setattr(management, "should_use_fp16", lambda device: half == torch.float16)
        monkeypatch.setattr(management, "should_use_bf16", lambda device: True)
        monkeypatch.setattr(management, "vae_dtype", lambda device, allowed: allowed[0])
        dtypes = {
            part: pack.load.dtype_of(part, "auto", torch.device("cpu")) for part in ("unet", "clip", "scm", "vae")
        }
        # a CPU has no bfloat16 that is fast, so the float16 that the SCM cannot take becomes float32 here
        scm = torch.float32 if half == torch.float16 else half
        assert dtypes == {"unet": half, "clip": half, "scm": scm, "vae": torch.bfloat16}

    def test_a_chosen_one_counts(self, pack):
        assert pack.load.dtype_of("vae", "bfloat16", torch.device("cpu")) == torch.bfloat16
        assert pack.load.dtype_of("unet", "float32", torch.device("cpu")) == torch.float32


class TestPreview:
    """A picture that cannot be scaled or saved as JPEG would end the whole ComfyUI process."""

    @pytest.mark.parametrize("mode", ["RGBA", "L", "I;16", "P"])
    def test_only_rgb_is_sent(self, host, mode):
        kind, picture, limit = host.sendable(Image.new(mode, (8, 4)))
        assert (kind, picture.mode, picture.size, limit) == ("JPEG", "RGB", (8, 4), 512)

    @pytest.mark.parametrize("size", [(0, 0), (0, 5), (600, 1)])
    def test_nothing_is_sent_that_scales_to_nothing(self, host, size):
        assert host.sendable(Image.new("RGB", size)) is None

    def test_none_is_made_unless_asked_for(self, host, model):
        assert host.previewer(model.model)(5, torch.zeros(1, 4, 8, 8)) is None

    def test_other_latents_are_decoded_small_every_few_steps(self, host, model, monkeypatch):
        monkeypatch.setattr(host.args, "preview_method", Methods.Latent2RGB)
        monkeypatch.setattr(host, "SD15_LATENT", (16, 8))
        preview = host.previewer(model.model)
        estimate = torch.randn(2, 4, 16, 24)
        assert [preview(step, estimate) is not None for step in range(1, 11)] == ([False] * 4 + [True]) * 2
        assert preview(5, estimate).size == (6 * 8, 4 * 8)
        assert preview(5, torch.randn(1, 4, 2, 2)).size == (8, 8)

    def test_the_latents_comfyui_knows_get_its_own(self, host, model, monkeypatch):
        monkeypatch.setattr(host.args, "preview_method", Methods.Latent2RGB)

        class Previewer:
            def decode_latent_to_preview(self, estimate):
                return Image.new("RGB", (estimate.shape[3], estimate.shape[2]))

        monkeypatch.setattr(host.latent_preview, "get_previewer", lambda device, kind: Previewer())
        assert host.previewer(model.model)(1, torch.zeros(1, 4, 8, 16)).size == (16, 8)

    def test_a_step_after_cancel_stops(self, host, model, monkeypatch):
        class Cancelled(Exception):
            pass

        def stop():
            raise Cancelled

        watch = host.StepWatcher(model.model, 3)
        watch(1, torch.zeros(1, 4, 8, 8))
        monkeypatch.setattr(host.comfy.model_management, "throw_exception_if_processing_interrupted", stop)
        with pytest.raises(Cancelled):
            watch(2, torch.zeros(1, 4, 8, 8))
        assert watch.bar.done == [1]
