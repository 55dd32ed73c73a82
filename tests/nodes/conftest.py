"""The pack as ComfyUI loads it, on a stand-in for the parts of ComfyUI that `nodes/comfy` uses."""

from __future__ import annotations

import enum
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
PACK = "autodir_pack"


class Bar:
    """A progress bar that keeps what it is told."""

    def __init__(self, total):
        self.total, self.done, self.previews = total, [], []
        StandIn.bars.append(self)

    def update_absolute(self, value, total=None, preview=None):
        self.done.append(value)
        self.previews.append(preview)


class Patcher:
    """A model patcher that only remembers where the model belongs."""

    def __init__(self, model, load_device, offload_device):
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        model.device = offload_device  # ComfyUI's own writes it too

    def model_size(self):
        return 123


class StandIn:
    """What tests change and look at."""

    bars: list[Bar] = []
    loads: list[dict] = []
    freed: list[tuple[float, torch.device]] = []
    shown: list[torch.Tensor] = []
    told: list[tuple[str, str]] = []
    weights, output, input = Path(), Path(), Path()

    @staticmethod
    def show(images):
        StandIn.shown.append(images)
        return {"ui": {"images": [{"filename": "shown.png"} for _ in images]}}


class PromptServer:
    """A server that only remembers what a pack hooks into it."""

    def __init__(self):
        self.handlers, self.routes = [], self
        self.add_on_prompt_handler = self.handlers.append

    def post(self, path):
        return lambda handler: handler

    def send_progress_text(self, text, node_id):
        StandIn.told.append((node_id, text))


PromptServer.instance = PromptServer()


class Methods(enum.Enum):
    NoPreviews = "none"
    Latent2RGB = "latent2rgb"


def module(name, **content):
    made = ModuleType(name)
    made.__dict__.update(content)
    return made


def stand_in_modules() -> dict[str, ModuleType]:
    """The modules of ComfyUI by name; a machine without GPU that nobody cancels."""
    cpu = torch.device("cpu")
    management = module(
        "comfy.model_management",
        get_torch_device=lambda: cpu,
        intermediate_device=lambda: cpu,
        unet_offload_device=lambda: cpu,
        should_use_fp16=lambda device: False,
        should_use_bf16=lambda device: False,
        vae_dtype=lambda device, allowed: torch.float32,
        current_loaded_models=[],
        load_models_gpu=lambda patchers, **options: StandIn.loads.append(options),
        throw_exception_if_processing_interrupted=lambda: None,
        get_free_memory=lambda device: 2**40,
        get_total_memory=lambda device: 2**40,
        extra_reserved_memory=lambda: 0,
        free_memory=lambda needed, device: StandIn.freed.append((needed, device)),
        unload_all_models=lambda: None,
        soft_empty_cache=lambda: None,
        OOM_EXCEPTION=torch.cuda.OutOfMemoryError,
    )
    parts = {
        "comfy.model_management": management,
        "comfy.utils": module("comfy.utils", ProgressBar=Bar),
        "comfy.latent_formats": module("comfy.latent_formats", SD15=object),
        "comfy.cli_args": module(
            "comfy.cli_args", args=SimpleNamespace(preview_method=Methods.NoPreviews), LatentPreviewMethod=Methods
        ),
        "comfy.model_patcher": module("comfy.model_patcher", ModelPatcher=Patcher),
    }
    comfy = module("comfy", **{name.partition(".")[2]: part for name, part in parts.items()})
    folders = module(
        "folder_paths",
        models_dir="models",
        folder_names_and_paths={"autodir": (["from/a/yaml/file"], set())},
        add_model_folder_path=lambda name, path: folders.folder_names_and_paths[name][0].append(path),
        get_filename_list=lambda name: ["tiny.safetensors"],
        get_full_path_or_raise=lambda name, file: str(StandIn.weights),
        get_input_directory=lambda: str(StandIn.input),
        get_output_directory=lambda: str(StandIn.output),
        get_user_directory=lambda: str(StandIn.output / "user"),
        get_save_image_path=lambda prefix, folder: (Path(folder, prefix).parent, Path(prefix).name, 1, "", prefix),
    )
    server = module("server", PromptServer=PromptServer)
    previews = module("latent_preview", MAX_PREVIEW_RESOLUTION=512, get_previewer=lambda device, kind: None)
    nodes = module("nodes", PreviewImage=lambda: SimpleNamespace(save_images=StandIn.show))
    context = SimpleNamespace(node_id="7", list_index=None)
    utils = module("comfy_execution.utils", get_executing_context=lambda: context)
    others = {"folder_paths": folders, "server": server, "latent_preview": previews, "nodes": nodes}
    others |= {"comfy_execution": module("comfy_execution", utils=utils), "comfy_execution.utils": utils}
    return {"comfy": comfy, **parts, **others}


def load_pack() -> ModuleType:
    """The root package under a name of its own, as a custom node pack is loaded."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec and spec.loader
    pack = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = pack
    spec.loader.exec_module(pack)
    return pack


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that share busy cores make these small networks many times slower, not faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pack(tmp_path_factory):
    """The pack; the stand-in leaves `sys.modules` again, the pack keeps what it imported."""
    StandIn.input = tmp_path_factory.mktemp("input")
    modules = stand_in_modules()
    sys.modules.update(modules)
    try:
        return load_pack()
    finally:
        for name in modules:
            del sys.modules[name]


@pytest.fixture
def node(pack):
    """A node by its name without the prefix."""
    return lambda name: pack.NODE_CLASS_MAPPINGS[f"AutoDIR{name}"]()


@pytest.fixture
def core(pack):
    """The modules of the pack's own core, by name."""
    return lambda name: importlib.import_module(f"{pack.__name__}.autodir_core.{name}")


@pytest.fixture
def comfy(pack):
    """The modules of `nodes/comfy`, by name."""
    return lambda name: importlib.import_module(f"{pack.__name__}.nodes.comfy.{name}")


@pytest.fixture
def management(comfy):
    """The stand-in for ComfyUI's model management."""
    return comfy("memory").comfy.model_management


@pytest.fixture(scope="session")
def model(pack, tiny_path):
    """The tiny golden model as AUTODIR_MODEL."""
    StandIn.weights = tiny_path
    return pack.NODE_CLASS_MAPPINGS["AutoDIRLoadModel"]().load("tiny.safetensors", "auto")[0]


@pytest.fixture
def stand_in(tmp_path):
    """The stand-in with nothing recorded and an output folder of its own."""
    for record in (StandIn.bars, StandIn.loads, StandIn.freed, StandIn.shown, StandIn.told):
        record.clear()
    StandIn.output = tmp_path
    return StandIn


@pytest.fixture
def photo(golden):
    """A picture [1, 50, 72, 3]."""
    return golden.photo("photo_a_96x128")[:, :50, :72].contiguous()
