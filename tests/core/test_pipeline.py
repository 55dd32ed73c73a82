"""The loop: its batches, its noise, and any size."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core import pipeline
from autodir_core.imaging import layout
from autodir_core.labels import check_labels, parse_labels
from autodir_core.pipeline import sample_each
from autodir_core.stages.correction import lerp_correction, scm_weight
from tests.distance import psnr, relative

FAST = ad.SamplerSettings(steps=2)


def pictures(count: int, height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("label", "setting", "weight"),
    [
        ("haze", None, 1.0),
        ("low resolution", None, 0.0),
        ("low resolution", 0.5, 0.5),
        ("haze", {"haze": 0.25}, 0.25),
        ("low resolution", {"haze": 0.25}, 0.0),
        (None, None, 1.0),
    ],
)
def test_weight_of_the_correction(label, setting, weight):
    assert scm_weight(label, {"low resolution": 0.0}, setting) == weight


def test_weighing():
    a, b = torch.zeros(2), torch.ones(2)
    assert lerp_correction(a, b, 0) is a and lerp_correction(a, b, 1.0) is b
    assert lerp_correction(a, b, 0.25).tolist() == [0.25, 0.25]


def test_each_picture_may_have_its_own_weight():
    generated, corrected = torch.zeros(3, 2, 2, 3), torch.ones(3, 2, 2, 3)
    assert lerp_correction(generated, corrected, [0.0, 0.25, 1.0]).mean(dim=(1, 2, 3)).tolist() == [0.0, 0.25, 1.0]
    with pytest.raises(ad.InputError, match="one for each of the 3 pictures, got 2"):
        lerp_correction(generated, corrected, [0.0, 1.0])


@pytest.mark.parametrize("text", ["haze, low resolution\nno", " haze,,low resolution ,\n no\n"])
def test_labels_are_read_from_text(text):
    assert parse_labels(text) == ["haze", "low resolution", "no"] and parse_labels(" \n,") == []


def test_labels_in_any_case_and_with_underscores(tiny):
    asked = ["Noise", "LOW_resolution", "noise", "No"]
    assert tiny.assess(pictures(1), asked).labels == ("noise", "low resolution", "no")
    assert check_labels(["fog", "Fog"], ["fog", "Fog"]) == ("fog", "Fog"), "a label that is there is itself"


def test_a_picture_of_a_batch_gives_what_it_gives_alone(tiny):
    images = pictures(3)
    loop = ad.LoopSettings(max_rounds=2)
    together = ad.restore(tiny, images, loop, FAST, seed=5)
    for i in range(3):
        alone = ad.restore(tiny, images[i : i + 1], loop, FAST, seed=5 + i)
        assert torch.equal(together.image[i : i + 1], alone.image)
        assert together.stopped[i] == alone.stopped[0]
    listed = ad.restore(tiny, images, loop, FAST, seed=[5, 6, 7])
    assert torch.equal(listed.image, together.image)


def test_sampling_a_batch_gives_each_picture_its_own_noise(tiny):
    images = pictures(1).repeat(2, 1, 1, 1)
    c, e = tiny.encode(images), tiny.embed_text(["fog"]).repeat(2, 1, 1)
    both = tiny.sample(c, e, FAST, seed=9)
    assert relative(both[1:], tiny.sample(c[1:], e[1:], FAST, seed=10)) < 1e-4
    assert relative(both[:1], both[1:]) > 0.1


def test_sampling_each_gives_the_bits_of_each_alone(tiny):
    """And a seed after the last one begins at the first again."""
    images, steps = pictures(2), []
    text = tiny.embed_text(["fog", "rain"])
    seed = 2**64 - 1
    both = sample_each(tiny, images, text, FAST, seed=seed, on_step=lambda at, _: steps.append((at.picture, at.step)))
    for i, picture_seed in enumerate((seed, 0)):
        row = slice(i, i + 1)
        assert torch.equal(both[row], tiny.sample(tiny.encode(images[row]), text[row], FAST, seed=picture_seed))
    assert steps == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_given_noise_is_asked_for_once_per_step_and_repeats(tiny):
    images = pictures(2)
    asked = []
    shape = tiny.encode(images).shape

    def noise_sampler(sigma, sigma_next):
        asked.append((sigma.item(), sigma_next.item()))
        return torch.randn(shape, generator=torch.Generator().manual_seed(len(asked)))

    start = torch.randn(shape, generator=torch.Generator().manual_seed(99))
    settings = ad.SamplerSettings(steps=3)
    loop = ad.LoopSettings(max_rounds=3, labels=[label for label in ad.LABELS if label != "no"])
    out = ad.restore(tiny, images, loop, settings, noise=start, noise_sampler=noise_sampler)
    levels = ad.sigmas(3).tolist()
    assert asked == [(levels[0], levels[1]), (levels[1], levels[2])]
    assert len(out.rounds) == 3 and out.stopped == ("max_rounds", "max_rounds")


def test_pictures_that_finish_early_stay_as_they_are(tiny, monkeypatch):
    """The first picture is clean after one round, the second at once, the third never."""
    plans = {0: ["haze", "no"], 1: ["no"], 2: ["haze", "noise", "rain"]}
    images = pictures(3)
    assess, asked = type(tiny).assess, []

    def scripted(model, image, labels=None, crops="center"):
        real = assess(model, image, labels)
        label = plans[min(asked.count("no"), 2)].pop(0)
        asked.append(label)
        probabilities = torch.zeros(1, len(real.labels))
        probabilities[0, real.labels.index(label)] = 1
        return ad.Assessment(real.labels, probabilities, real.embedding)

    monkeypatch.setattr(type(tiny), "assess", scripted)
    out = ad.restore(tiny, images, ad.LoopSettings(max_rounds=3), FAST)
    assert out.stopped == ("clean", "clean", "max_rounds")
    assert [done.labels for done in out.rounds] == [("haze", None, "haze"), (None, None, "noise"), (None, None, "rain")]
    assert torch.equal(out.image[1], images[1]), "a clean picture comes back bit for bit"
    assert torch.equal(out.rounds[2].generated[0], out.image[0])
    assert out.rounds[1].probabilities[:2].abs().sum() == 0
    with pytest.raises(ad.InputError, match="3 pictures"):
        _ = out.rounds[0].label


def test_a_picture_of_low_confidence_comes_back_bit_for_bit(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "encode", None)
    image = pictures(1)
    out = ad.restore(tiny, image, ad.LoopSettings(min_confidence=1.0), FAST)
    assert (out.stopped, out.rounds) == (("low_confidence",), [])
    assert torch.equal(out.image, image)
    assert torch.equal(out.last_probabilities, tiny.assess(image).probabilities)


def test_low_confidence_keeps_the_rounds_before(tiny, monkeypatch):
    """Haze is found with 60 %, then noise with 40 %; the confidence is checked in every round."""
    assess, plan = type(tiny).assess, {"haze": 0.6, "noise": 0.4, "rain": 0.9}

    def scripted(model, image, labels=None, crops="center"):
        real = assess(model, image, labels, crops)
        label = next(label for label in plan if label in real.labels)
        rest = (1 - plan[label]) / (len(real.labels) - 1)
        row = [plan[label] if one == label else rest for one in real.labels]
        return ad.Assessment(real.labels, torch.tensor([row]), real.embedding)

    monkeypatch.setattr(type(tiny), "assess", scripted)
    runs = {at: ad.restore(tiny, pictures(1), ad.LoopSettings(3, min_confidence=at), FAST) for at in (0, 0.5)}
    one_round = ad.restore(tiny, pictures(1), ad.LoopSettings(1), FAST)
    assert [done.label for done in runs[0].rounds] == ["haze", "noise", "rain"]
    assert ([done.label for done in runs[0.5].rounds], runs[0.5].stopped) == (["haze"], ("low_confidence",))
    assert torch.equal(runs[0.5].image, one_round.image)


def test_a_custom_prompt_is_one_round_without_assessment(tiny, monkeypatch):
    monkeypatch.setattr(type(tiny), "assess", None)
    out = ad.restore(tiny, pictures(1), ad.LoopSettings(prompt="remove the fog"), FAST)
    assert (len(out.rounds), out.stopped, out.rounds[0].label) == (1, ("prompt",), None)
    assert out.rounds[0].probabilities is None
    assert torch.equal(out.image, out.rounds[0].corrected)


def test_the_result_follows_from_the_records(tiny):
    out = ad.restore(tiny, pictures(1), ad.LoopSettings(max_rounds=1, labels=["haze"], scm_weight=0.3), FAST)
    done = out.rounds[0]
    assert torch.allclose(out.image, done.generated + 0.3 * (done.corrected - done.generated))
    assert out.stopped == ("max_rounds",) and out.labels == ("haze",)
    assert ad.restore(tiny, pictures(1), ad.LoopSettings(labels=["haze"]), FAST).stopped == ("no_labels",)


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (3, 50), (47, 33), (17, 16)])
def test_any_size_comes_back_as_it_came(tiny, size):
    out = ad.restore(tiny, pictures(1, *size), ad.LoopSettings(max_rounds=1), FAST)
    assert out.image.shape == (1, *size, 3) and torch.isfinite(out.image).all()
    assert out.image.dtype == torch.float32


def test_padding_is_reflection_that_the_user_does_not_see(tiny):
    image = pictures(1, 40, 50)
    latent = tiny.encode(image)
    assert latent.shape[-2:] == tuple(side // tiny.factor for side in (48, 64))
    assert tiny.decode(latent, size=(40, 50)).shape == (1, 40, 50, 3)
    rows = [*range(40), *range(38, 30, -1)]
    columns = [*range(50), *range(48, 34, -1)]
    assert torch.equal(tiny.encode(image[:, rows][:, :, columns]), latent)
    assert torch.equal(tiny.encode(image.transpose(1, 2).contiguous().transpose(1, 2)), latent), "any memory layout"


def test_a_round_crosses_the_device_border_once_and_checks_the_input_once(tiny, monkeypatch):
    uploads, checks = [], []
    place, finite = type(tiny.stages).place, layout.finite_range
    monkeypatch.setattr(type(tiny.stages), "place", lambda stages, x: uploads.append(x.shape) or place(stages, x))
    monkeypatch.setattr(layout, "finite_range", lambda x, name: checks.append(x.numel()) or finite(x, name))
    image = pictures(1, 300, 320)
    ad.restore(tiny, image, ad.LoopSettings(max_rounds=2, labels=["haze", "rain"]), FAST)
    assert uploads == [image.shape] * 2
    crop, text = 3 * 224 * 224, tiny.null_text.numel()
    each = [crop, text, image.numel()]
    assert checks == [image.numel(), *each, *each], "input, then a crop, the condition and the result"


def test_a_batch_of_one_copies_nothing(tiny):
    out = ad.restore(tiny, pictures(1), ad.LoopSettings(max_rounds=1, labels=["haze"]), FAST)
    assert out.image is out.rounds[0].image and out.image is out.rounds[0].corrected


def test_a_round_that_is_not_finite_is_an_error(tiny, monkeypatch):
    broken = staticmethod(lambda degraded, generated, on_tile: generated * float("nan"))
    monkeypatch.setattr(type(tiny.stages), "correct", broken)
    with pytest.raises(ad.InputError, match="the picture of round 1 holds values that are not finite"):
        ad.restore(tiny, pictures(1), ad.LoopSettings(max_rounds=1), FAST)


def test_progress_is_told(tiny):
    steps, rounds = [], []
    ad.restore(
        tiny,
        pictures(2),
        ad.LoopSettings(max_rounds=1, labels=["haze"]),
        FAST,
        on_step=lambda progress, estimate: steps.append(
            (progress.picture, progress.round, progress.step, estimate.shape[0])
        ),
        on_round=lambda picture, done: rounds.append((picture, done.label)),
    )
    assert steps == [(0, 0, 1, 1), (0, 0, 2, 1), (1, 0, 1, 1), (1, 0, 2, 1)]
    assert rounds == [(0, "haze"), (1, "haze")]


def test_the_global_random_state_is_left_alone(tiny):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    ad.restore(tiny, pictures(1), ad.LoopSettings(max_rounds=1, labels=["haze"]), FAST, seed=4)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.assess(pictures(1), ["fog"]), "unknown label 'fog'"),
        (lambda m: m.assess(pictures(1), "haze"), "must be a list"),
        (lambda m: m.assess(pictures(1), []), "no labels"),
        (lambda m: m.embed_text("fog"), "must be a list"),
        (lambda m: m.correct(pictures(1), pictures(1, 10, 10)), "one shape"),
        (lambda m: m.sample(m.encode(pictures(1)), m.null_text, FAST, noise=torch.zeros(1, 4, 2, 2)), "latent's shape"),
        (lambda m: ad.restore(m, pictures(2), seed=[1]), "one per picture"),
        (lambda m: ad.restore(m, pictures(1), sampler="euler"), r'SamplerSettings\(sampler="euler"\), got \'euler\''),
        (lambda m: ad.restore(m, pictures(1), FAST), r"loop takes settings such as LoopSettings\("),
        (lambda m: ad.LoopSettings(labels="noise"), "must be a list"),
        (lambda m: ad.LoopSettings(max_rounds=0), "max_rounds"),
        (lambda m: ad.LoopSettings(candidates=0), "candidates must be 1 or more, got 0"),
        (lambda m: ad.LoopSettings(candidates=2), r"2 candidates need the gate, .* \(gate, --gate\), or ask for 1"),
        (lambda m: ad.LoopSettings(min_confidence=1.01), r"min_confidence must be in 0..1, got 1.01"),
        (lambda m: ad.LoopSettings(min_confidence=-0.5), r"min_confidence must be in 0..1, got -0.5"),
        (lambda m: ad.LoopSettings(min_confidence=float("nan")), r"min_confidence must be in 0..1, got nan"),
        (lambda m: ad.SamplerSettings(sampler="ddim"), "unknown sampler"),
        (lambda m: ad.load_autodir(device="nonsense"), "cannot be used"),
        (lambda m: ad.load_autodir(dtype="float8"), "unknown precision"),
        (lambda m: ad.match_color(pictures(1), pictures(1), "magic"), "unknown color method"),
    ],
)
def test_wrong_use_is_explained(tiny, call, words):
    with pytest.raises(ad.InputError, match=words):
        call(tiny)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_cuda_gives_the_cpu_picture(tiny, tiny_path, dtype):
    image, loop, sampler = pictures(1), ad.LoopSettings(max_rounds=1, labels=["haze"]), ad.SamplerSettings(steps=4)
    there = ad.load_autodir(tiny_path, device="cuda", dtype=dtype)
    ours, theirs = (ad.restore(model, image, loop, sampler, seed=1).image for model in (there, tiny))
    assert ours.device == image.device
    if dtype == "float32":
        assert relative(ours, theirs) <= 1e-3
    else:
        assert psnr(ours / theirs.abs().max(), theirs / theirs.abs().max()) >= 40


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("labels", [["no"], ["haze"]])
def test_results_are_the_callers_own(tiny, count, labels):
    """They may be written to and trained with, and the input stays as it is."""
    images = pictures(count, 40, 50)
    before = images.clone()
    out = ad.restore(tiny, images, ad.LoopSettings(max_rounds=1, labels=labels), FAST)
    (out.image * torch.ones(3, requires_grad=True)).sum().backward()
    for tensor in (out.image, *(done.generated for done in out.rounds)):
        tensor.mul_(0)
    assert torch.equal(images, before)


def test_a_single_pixel_gives_the_bits_of_the_single_methods(tiny):
    image, loop = pictures(1, 1, 1), ad.LoopSettings(max_rounds=1, labels=["noise"])
    done = ad.restore(tiny, image, loop, FAST, seed=1).rounds[0]
    latent = tiny.sample(tiny.encode(image), tiny.assess(image, ["noise"]).embedding, FAST, seed=1)
    generated = tiny.decode(latent, (1, 1))
    assert torch.equal(done.generated, generated)
    assert torch.equal(done.corrected, tiny.correct(image, generated))


def test_the_former_spelling_of_crops_is_understood(tiny):
    image = pictures(1)
    assert torch.equal(tiny.assess(image, None, "centre").probabilities, tiny.assess(image).probabilities)
    assert ad.LoopSettings(1, None, None, None, "centre").max_rounds == 1


def test_stages_report_in_order(tiny):
    seen = []
    ad.restore(tiny, pictures(1), ad.LoopSettings(max_rounds=2, labels=["haze", "rain"]), FAST, on_stage=seen.append)
    stages = [(at.round, at.stage) for at in seen if at.done == 0]
    first = list(dict.fromkeys(stages))
    assert first == [(n, stage) for n in (0, 1) for stage in ("assess", "encode", "sample", "decode", "correct")]
    for number in (0, 1):
        fractions = [at.fraction for at in seen if at.round == number]
        assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == pytest.approx(1)


def test_what_a_watcher_raises_ends_the_run_within_a_tile(tiny):
    class CancelledError(Exception):
        pass

    def cancel(at):
        if (at.stage, at.done) == ("sample", 1):
            raise CancelledError

    with pytest.raises(CancelledError):
        ad.restore(tiny.tiled(128), pictures(1, 200, 200), ad.LoopSettings(1, prompt="haze"), FAST, on_stage=cancel)


def test_the_pictures_of_rounds_can_be_small(tiny):
    whole, loop = [], ad.LoopSettings(max_rounds=1, labels=["haze"], round_height=16)
    out = ad.restore(tiny, pictures(1), loop, FAST, on_round=lambda picture, done: whole.append(done))
    assert out.image.shape == pictures(1).shape == whole[0].image.shape
    assert torch.equal(out.image, whole[0].image)
    assert out.rounds[0].generated.shape[1] == out.rounds[0].corrected.shape[1] == out.rounds[0].image.shape[1] == 16


def test_darkness_of_large_pictures_is_restored_on_a_reduced_copy(tiny, monkeypatch):
    monkeypatch.setattr(pipeline, "WHOLE_PIXELS", 64 * 64)
    monkeypatch.setattr(pipeline, "REDUCED_FROM_PIXELS", 2 * 64 * 64)
    sizes = []
    place = type(tiny.stages).place
    monkeypatch.setattr(type(tiny.stages), "place", lambda stages, x: sizes.append(x.shape[1:3]) or place(stages, x))
    image = pictures(1, 96, 120)
    for reduced, expected in ((("haze",), (57, 72)), (("rain",), (96, 120))):
        loop = ad.LoopSettings(max_rounds=1, labels=["haze"], reduced_labels=reduced)
        stages = []
        out = ad.restore(tiny, image, loop, FAST, on_stage=lambda at, seen=stages: seen.append(at.stage))
        assert out.image.shape == image.shape and tuple(sizes[-1]) == expected
        assert ("transfer" in stages) == (reduced == ("haze",)), (
            "cancelling is possible while the change is carried over"
        )
    ad.restore(tiny, pictures(1, 60, 60), ad.LoopSettings(1, labels=["haze"], reduced_labels=["haze"]), FAST)
    assert tuple(sizes[-1]) == (60, 60), "small ones are not reduced"


def test_pictures_of_a_batch_may_take_unlike_many_rounds_when_rounds_are_scaled(tiny: ad.AutoDIR, monkeypatch) -> None:
    """One that had finished is repeated in the size of the others' rounds."""
    asked = iter(["haze", "no", "no"])  # the second picture is clean at once

    def assess(model: ad.AutoDIR, images: torch.Tensor, labels=None, crops: str = "center") -> ad.Assessment:
        names, top = tuple(labels or model.labels), next(asked)
        probabilities = torch.tensor([[float(name == top) for name in names]])
        return ad.Assessment(names, probabilities, model.embed_text([""]))

    monkeypatch.setattr(ad.AutoDIR, "assess", assess)
    images = pictures(2, 48, 64)
    done = ad.restore(tiny, images, ad.LoopSettings(round_height=24), ad.SamplerSettings(1))
    (only,) = done.rounds
    assert only.labels == ("haze", None) and only.image.shape == (2, 24, 32, 3)
    assert done.image.shape == images.shape and torch.equal(done.image[1], images[1])
