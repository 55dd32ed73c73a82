"""From a weights file to the four networks, strictly, and from the networks back to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..imaging.paths import atomic_path
from ..networks.build import Networks
from ..networks.config import (
    CLIP_PREFIX,
    SCM_PREFIX,
    UNET_PREFIX,
    VAE_PREFIX,
    ModelConfig,
    ModelMetadata,
    infer_config,
    strip_prefix,
)
from .key_map import NOT_NEEDED, KeyMap, build_key_map, from_official, to_official
from .reader import LazyStateDict, Reader, open_state_dict

PARTS = {"UNet": UNET_PREFIX, "VAE": VAE_PREFIX, "CLIP": CLIP_PREFIX, "SCM": SCM_PREFIX}
LISTED = 5
"""How many missing or unexpected keys an error names."""


@dataclass(frozen=True)
class Inspection:
    """What the header of a weights file tells.

    Attributes:
        kind: the container, "safetensors" or "PyTorch checkpoint".
        guess: what the file is, in words.
        parameters: values per network, by the names of `PARTS`.
        dtypes: number of tensors per dtype.
        problem: why it is not a complete AutoDIR model; None when it is one.
        metadata: the file's labels, head counts and so on.
    """

    path: Path
    kind: str
    guess: str
    parameters: Mapping[str, int]
    dtypes: Mapping[str, int]
    problem: str | None
    metadata: ModelMetadata


@dataclass(frozen=True)
class LoadPlan:
    """How a file becomes networks: their sizes, and the official keys each parameter is made of."""

    config: ModelConfig
    key_map: KeyMap
    shapes: Mapping[str, tuple[int, ...]]


def inspect(path: str | Path) -> Inspection:
    """Look at a weights file through its header alone; CheckpointError when it cannot be opened at all."""
    file = open_state_dict(path)
    metadata = ModelMetadata.from_metadata(file.metadata)
    try:
        plan(file, metadata)
        problem, guess = None, "an AutoDIR model"
    except CheckpointError as error:
        problem, guess = str(error), guess_kind(file.shapes)
    dtypes = [str(entry.dtype).removeprefix("torch.") for entry in file.entries.values()]
    return Inspection(
        path=file.path,
        kind=file.kind,
        guess=guess,
        parameters={name: parameter_count(file, prefix) for name, prefix in PARTS.items()},
        dtypes={name: dtypes.count(name) for name in sorted(set(dtypes))},
        problem=problem,
        metadata=metadata,
    )


def parameter_count(file: LazyStateDict, prefix: str) -> int:
    """Number of values that are weights of the network under `prefix`."""
    return sum(
        torch.Size(shape).numel()
        for key, shape in file.shapes.items()
        if key.startswith(prefix) and key not in NOT_NEEDED
    )


def plan(file: LazyStateDict, metadata: ModelMetadata) -> LoadPlan:
    """Derive the sizes and account for every key; CheckpointError lists what is missing, unexpected or misshapen."""
    try:
        config = infer_config(file.shapes, metadata)
    except (KeyError, ValueError, IndexError, StopIteration) as error:
        missing = [name for name, prefix in PARTS.items() if not strip_prefix(file.shapes, prefix)]
        detail = f"it has no {', '.join(missing)}" if missing else f"{error} is missing or misshapen"
        raise CheckpointError(
            f"{file.path} is not an AutoDIR model: {detail}; it looks like {guess_kind(file.shapes)}"
        ) from error
    check_heads(file, config)
    with torch.device("meta"):
        ours = {key: tuple(tensor.shape) for key, tensor in Networks(config).state_dict().items()}
    table = build_key_map(ours, config)
    check_keys(file, table)
    check_shapes(file, table, ours)
    return LoadPlan(config, table, ours)


def check_heads(file: LazyStateDict, config: ModelConfig) -> None:
    """Widths must be divisible by the head counts, which the file's metadata or the official table gives."""
    attended = [
        channels for channels, attention in zip(config.unet.channels, config.unet.attention, strict=True) if attention
    ]
    counted = [("unet_heads", config.unet.heads, width) for width in (*attended, config.unet.channels[-1])]
    counted.append(("text_heads", config.clip.text_heads, config.clip.text_width))
    counted.append(("vision_heads", config.clip.vision_heads, config.clip.vision_width))
    for name, heads, width in counted:
        if width % heads:
            raise CheckpointError(
                f"{file.path}: a width of {width} cannot be split into {heads} heads; a model of another size than the "
                f"official one must say its {name} in the safetensors metadata entry 'autodir'"
            )


def check_keys(file: LazyStateDict, table: KeyMap) -> None:
    """Strict: every official key is used or known as not needed."""
    wanted = {key for keys in table.values() for key in keys}
    missing = sorted(wanted - set(file.entries))
    unexpected = sorted(set(file.entries) - wanted - NOT_NEEDED)
    if missing or unexpected:
        raise CheckpointError(
            f"{file.path} is not a complete AutoDIR model: {listed('missing', missing)}, "
            f"{listed('unexpected', unexpected)}; it looks like {guess_kind(file.shapes)}"
        )


def check_shapes(file: LazyStateDict, table: KeyMap, ours: Mapping[str, tuple[int, ...]]) -> None:
    """Every parameter has as many values as its official tensors together."""
    for key, official in table.items():
        have = sum(torch.Size(file.shapes[name]).numel() for name in official)
        if have != torch.Size(ours[key]).numel():
            raise CheckpointError(
                f"{file.path}: {official[0]} has shape {list(file.shapes[official[0]])}, which does not fit the "
                f"sizes read from the other tensors ({list(ours[key])} expected)"
            )


def listed(what: str, keys: list[str]) -> str:
    """Such as "3 keys missing (a, b, c)", naming a few of many."""
    names = ", ".join(keys[:LISTED]) + (", ..." if len(keys) > LISTED else "")
    return f"{len(keys)} keys {what}" + (f" ({names})" if keys else "")


def load_networks(
    path: str | Path, choose_dtype: Callable[[str], torch.dtype]
) -> tuple[Networks, LoadPlan, ModelMetadata]:
    """Build the networks of a file on the CPU, in evaluation mode.

    Args:
        path: an AutoDIR `.safetensors` or `.ckpt` file with official key names.
        choose_dtype: precision of a parameter, by its name in our networks ("unet.", "vae.", "clip." or "scm." first).

    Memory stays near the size of the result: modules are built without weights, tensors are read one at a time.
    """
    file = open_state_dict(path)
    metadata = ModelMetadata.from_metadata(file.metadata)
    recipe = plan(file, metadata)
    with torch.device("meta"):
        networks = Networks(recipe.config)
    with file.reader() as reader:
        for key in recipe.key_map:
            set_parameter(networks, key, read_parameter(reader, recipe, key, choose_dtype(key)))
    restore_buffers(networks)
    return networks.eval().requires_grad_(False), recipe, metadata


def read_parameter(reader: Reader, recipe: LoadPlan, key: str, dtype: torch.dtype) -> Tensor:
    """One of our parameters, joined and reshaped from the official ones."""
    tensors = [reader.read(name, dtype) for name in recipe.key_map[key]]
    return from_official(tensors, key, recipe.shapes[key]).contiguous()


def set_parameter(networks: nn.Module, key: str, tensor: Tensor) -> None:
    """Replace one parameter that has no memory yet."""
    module, _, name = key.rpartition(".")
    setattr(networks.get_submodule(module), name, nn.Parameter(tensor, requires_grad=False))


def restore_buffers(networks: Networks) -> None:
    """Fill what no state dict holds: open_clip's causal mask stays on the meta device otherwise."""
    length = networks.clip.context_length
    networks.clip.attn_mask = torch.full((length, length), float("-inf")).triu(1)


def guess_kind(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What a foreign file probably is, by telling keys."""
    for guess, telling in GUESSES.items():
        if telling(shapes):
            return guess
    return "a file this pack does not know"


def ldm_inputs(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Input channels of the LDM UNet in a file, 0 where there is none."""
    return shapes.get(f"{UNET_PREFIX}input_blocks.0.0.weight", (0, 0))[1]


def any_key(shapes: Mapping[str, tuple[int, ...]], *parts: str) -> bool:
    return any(part in key for key in shapes for part in parts)


GUESSES: dict[str, Callable[[Mapping[str, tuple[int, ...]]], bool]] = {
    "an empty file without tensors": lambda s: not s,
    "a LoRA (load it in ComfyUI on top of a model)": lambda s: any_key(s, "lora_up", "lora_down", "lora_A", "lora_B"),
    "an SDXL checkpoint": lambda s: any_key(s, "conditioner.embedders"),
    "an incomplete or different AutoDIR model": lambda s: any_key(s, CLIP_PREFIX, SCM_PREFIX) and ldm_inputs(s) > 0,
    "an InstructPix2Pix checkpoint": lambda s: ldm_inputs(s) == 8,
    "a plain Stable Diffusion 1.5 checkpoint": lambda s: ldm_inputs(s) == 4,
    "a Stable Diffusion inpainting checkpoint": lambda s: ldm_inputs(s) == 9,
    "one network of a diffusers folder": lambda s: any_key(s, "down_blocks.0.", "up_blocks.0."),
    "a VAE": lambda s: any_key(s, "encoder.down.0.block", "first_stage_model."),
    "a CLIP model": lambda s: any_key(s, "text_model.encoder.layers", "visual.transformer"),
    "a NAFNet": lambda s: any_key(s, "middle_blks."),
}


def official_views(networks: Networks, config: ModelConfig) -> dict[str, Tensor]:
    """All parameters under their official names and shapes, in the memory of the networks."""
    state = networks.state_dict()
    table = build_key_map(state, config)
    return {name: part for key in state for name, part in to_official(state[key], key, table[key]).items()}


def official_state(networks: Networks, config: ModelConfig) -> dict[str, Tensor]:
    """All parameters under their official names and shapes, each in memory of its own as safetensors demands."""
    return {name: view.contiguous().clone() for name, view in official_views(networks, config).items()}


def save_model(path: str | Path, state: Mapping[str, Tensor], metadata: ModelMetadata, dtype: torch.dtype) -> None:
    """Write one safetensors file with official names and the model's metadata, through a temporary name.

    The SCM (not safe in float16) is written as bfloat16 or wider.
    """
    from safetensors.torch import save_file

    narrowed = {key: cast_for_storage(key, tensor, dtype) for key, tensor in state.items()}
    with atomic_path(path) as temporary:
        mode = temporary.stat().st_mode
        save_file(narrowed, temporary, metadata={"format": "pt", **metadata.to_metadata()})
        temporary.chmod(mode)  # safetensors leaves files that only their owner can read; a server may be another user


def cast_for_storage(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor in the precision it is stored in."""
    wanted = torch.bfloat16 if key.startswith(SCM_PREFIX) and dtype == torch.float16 else dtype
    return tensor.detach().to("cpu", wanted).contiguous()


def convert(source: str | Path, target: str | Path, dtype: torch.dtype = torch.float16) -> None:
    """Rewrite any readable AutoDIR file as one safetensors file without what is not needed.

    CheckpointError when the source is not a complete AutoDIR model.
    """
    file = open_state_dict(source)
    metadata = ModelMetadata.from_metadata(file.metadata)
    plan(file, metadata)
    with file.reader() as reader:
        state = {key: cast_for_storage(key, reader.read(key), dtype) for key in file.entries if key not in NOT_NEEDED}
    save_model(target, state, metadata, dtype)
