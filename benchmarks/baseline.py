"""The official way of working against today's, on the same weights in the same run: ratios, and that results agree.

    python benchmarks/baseline.py [--size 512x512] [--device cuda] [--model FILE] [--steps 100] [--runs 5]

Baseline: three guidance branches at every step whatever they weigh, float32 weights, prompts encoded every round, no
tiles, no branch skipped because it is zero, no channels last, NAFNet in whole pictures. Kernels of norms and attention
are today's. Runs of both ways alternate. On a CPU the ratios are of processor seconds, which other programs disturb
less.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from autodir_core.cli.bench import choose_label, parse_size, spread_text  # noqa: E402
from autodir_core.cli.console import bytes_text  # noqa: E402
from autodir_core.cli.measurement import Machine, Meter, PeakMemory, Spread, draw_picture  # noqa: E402
from autodir_core.cli.options import add_model_options, at_least, load_model  # noqa: E402
from autodir_core.devices import parse_device  # noqa: E402
from autodir_core.diffusion.guidance import Denoise, guided_denoiser  # noqa: E402
from autodir_core.model import AutoDIR, load_autodir  # noqa: E402
from autodir_core.networks.build import Networks  # noqa: E402
from autodir_core.networks.nafnet import NAFBlock  # noqa: E402
from autodir_core.pipeline import restore  # noqa: E402
from autodir_core.settings import LoopSettings, SamplerSettings  # noqa: E402
from autodir_core.stages.biqa import Prompts  # noqa: E402
from autodir_core.tiling.tiled_networks import TiledNetworks  # noqa: E402

NO_TILES = 2**30
"""Pixels a side that no picture has."""


class WholeNAFBlock(NAFBlock):
    """A NAFNet block without bands of rows."""

    def forward(self, x: Tensor) -> Tensor:
        gated = self.spatial(x)
        return self.mix(x, gated, self.sca(gated))


class OfficialWay(AutoDIR):
    """A model that works as the official code does; it changes the networks that it is given."""

    def __init__(self, model: AutoDIR) -> None:
        super().__init__(remove_shortcuts(model.networks), model.config, model.metadata)
        self.stages = TiledNetworks(self.networks, self.config, NO_TILES)

    def prompts(self, labels: tuple[str, ...]) -> Prompts:
        self._texts.forget()
        return super().prompts(labels)

    def denoiser(self, text_embedding: Tensor, settings: SamplerSettings) -> Callable[[Tensor], Denoise]:
        text, image = settings.text_guidance, settings.image_guidance
        weights = {"full": text, "image": image - text, "none": 1 - image}
        null_text = self.embed_text([""])

        def make(condition: Tensor) -> Denoise:
            embedding = text_embedding.to(condition).expand(len(condition), -1, -1)
            null = null_text.to(condition)
            return guided_denoiser(self.predict_noise, condition, embedding, null_text=null, weights=weights)

        return make


def remove_shortcuts(networks: Networks) -> Networks:
    """Let networks compute everything, in the order of memory that PyTorch has by itself; return them."""
    from diffusers.models.attention_processor import Attention
    from diffusers.models.resnet import ResnetBlock2D

    from autodir_core.networks.skipping import SkippingAttention, SkippingResnetBlock

    plain = {SkippingResnetBlock: ResnetBlock2D, SkippingAttention: Attention, NAFBlock: WholeNAFBlock}
    for module in networks.modules():
        module.__class__ = plain.get(type(module), type(module))
    for network in (networks.vae.encoder, networks.vae.decoder, networks.scm):
        network.register_forward_pre_hook(make_contiguous)
    return networks.to(memory_format=torch.contiguous_format)


def make_contiguous(network: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(x.contiguous() if isinstance(x, Tensor) else x for x in inputs)


class Comparison:
    """Measures calls of both ways in turn and prints a line for each."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self.meter, self.runs = Meter(device, runs), runs
        self.clock = 1 if device.type == "cpu" else 0  # what `Meter.time` returns: by the clock, of the processor

    def compare(self, name: str, new: Callable[[], Tensor], baseline: Callable[[], Tensor]) -> None:
        distance = relative_distance(new(), baseline())  # and both are warm
        pairs = [(self.seconds(new), self.seconds(baseline)) for _ in range(self.runs)]
        news, baselines = (Spread.of(values) for values in zip(*pairs, strict=True))
        ratio = Spread.of([slow / fast for fast, slow in pairs])
        row = name, spread_text(news), spread_text(baselines), spread_text(ratio), f"{distance:.1e}"
        print(f"| {' | '.join(row)} |", flush=True)

    def seconds(self, call: Callable[[], Tensor]) -> float:
        return self.meter.time(call)[0][self.clock]


def relative_distance(one: Tensor, other: Tensor) -> float:
    """Return the relative L2 distance of two results."""
    return ((one.double().cpu() - other.double().cpu()).norm() / other.double().cpu().norm()).item()


def compare_stages(comparison: Comparison, ways: tuple[AutoDIR, AutoDIR], image: Tensor, steps: int) -> None:
    """Compare the stages of a round, both ways from the same inputs."""
    new, old = ways
    size, settings = (image.shape[1], image.shape[2]), SamplerSettings(steps=steps)
    text, latent = new.assess(image).embedding, new.encode(image)
    decoded = new.decode(latent, size, scale=1.0)
    stages: dict[str, Callable[[AutoDIR], Tensor]] = {
        "assess": lambda model: model.assess(image).embedding,
        "encode": lambda model: model.encode(image),
        f"sample, {steps} steps, guidance 1 and 1": lambda model: model.sample(latent, text, settings),
        "decode": lambda model: model.decode(latent, size, scale=1.0),
        "correct": lambda model: model.correct(image, decoded),
    }
    for name, stage in stages.items():
        comparison.compare(name, lambda stage=stage: stage(new), lambda stage=stage: stage(old))


def compare_batch(comparison: Comparison, model: AutoDIR, image: Tensor, batch: int, steps: int) -> None:
    """Compare a batch of different pictures with the same ones by themselves, today's way in both."""
    images = torch.cat([image.roll(16 * i, dims=2) for i in range(batch)])

    def work(part: Tensor, seed: int) -> Tensor:
        latent = model.encode(part)
        drawn = model.sample(latent, model.assess(part).embedding, SamplerSettings(steps=steps), seed=seed)
        return model.correct(part, model.decode(drawn.clamp(-1, 1), (part.shape[1], part.shape[2])))

    def single() -> Tensor:
        return torch.cat([work(part, seed) for seed, part in enumerate(images.split(1))])

    comparison.compare(f"{batch} pictures at once / one by one, {steps} steps", lambda: work(images, 0), single)


def measure_peak(official: bool, arguments: argparse.Namespace, answers: multiprocessing.Queue[int | None]) -> None:
    """Load a model and restore one picture in one round, in a process of its own; put the peak of memory."""
    load_autodir(None, "cpu")  # imports every library
    memory = PeakMemory(parse_device(arguments.device))
    model = load(official, arguments)
    loop = LoopSettings(max_rounds=1, labels=[choose_label(None, model.labels)])
    width, height = arguments.size
    restore(model, draw_picture(height, width), loop, SamplerSettings(steps=1))
    answers.put(memory.peak())


def load(official: bool, arguments: argparse.Namespace) -> AutoDIR:
    if official:
        return OfficialWay(load_autodir(arguments.model, arguments.device, "float32"))
    return load_model(arguments)


def compare_memory(arguments: argparse.Namespace) -> None:
    """Print the peak memory of loading and of one round, both ways."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    peaks = []
    for official in (False, True):
        worker = context.Process(target=measure_peak, args=(official, arguments, answers))
        worker.start()
        peaks.append(answers.get())
        worker.join()
    if None not in peaks:
        new, baseline = peaks
        print(f"| peak memory | {bytes_text(new)} | {bytes_text(baseline)} | {new / baseline:.2f} times | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=(512, 512), metavar="WxH", help="(default: 512x512)")
    parser.add_argument("--steps", type=at_least(1), default=100, help="of both ways (default: %(default)s)")
    parser.add_argument("--runs", type=at_least(1), default=5, help="(default: %(default)s)")
    parser.add_argument("--batch", type=at_least(1), default=8, help="pictures, 1 for none (default: %(default)s)")
    parser.add_argument("--batch-steps", type=at_least(1), default=2, help="(default: %(default)s)")
    add_model_options(parser)
    arguments = parser.parse_args()

    device = parse_device(arguments.device)
    seconds = "processor seconds" if device.type == "cpu" else "seconds"
    print(f"{Machine.here(device)}\n{arguments.size[0]}x{arguments.size[1]}, {seconds}, median (min..max)\n")
    print("| what | today | baseline | baseline / today | relative L2 |\n| --- | --- | --- | --- | --- |")
    compare_memory(arguments)
    comparison = Comparison(device, arguments.runs)
    image = draw_picture(arguments.size[1], arguments.size[0])
    new = load(False, arguments)
    compare_stages(comparison, (new, load(True, arguments)), image, arguments.steps)
    if arguments.batch > 1:
        compare_batch(comparison, new, image, arguments.batch, arguments.batch_steps)


if __name__ == "__main__":
    main()
