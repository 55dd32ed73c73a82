"""The tools around a restoration, and the mix of conditions, by themselves."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

from autodir_core.choices import DEGRADATIONS

SETTINGS = {"sampler": "euler_ancestral", "image_guidance": 1.0}


@pytest.fixture
def refused(core):
    return lambda message: pytest.raises(core("errors").InputError, match=message)


@pytest.fixture
def flat_line(photo):
    """A picture one pixel high."""
    return photo[:, :1]


def with_alpha(image):
    return torch.cat([image, torch.rand(*image.shape[:3], 1)], dim=-1)


class TestMix:
    FIRST, SECOND = torch.full((1, 77, 64), 1.0), torch.full((1, 77, 64), 3.0)

    @pytest.mark.parametrize(("weight", "expected"), [(0.0, 1.0), (0.25, 1.5), (1.0, 3.0)])
    def test_the_weight_is_that_of_the_second(self, node, weight, expected):
        (((condition, _),),) = node("Mix").mix([[self.FIRST, {}]], [[self.SECOND, {}]], weight)
        assert torch.equal(condition, torch.full((1, 77, 64), expected))

    def test_what_else_is_in_the_first_is_kept_and_not_shared(self, node):
        kept = {"pooled_output": None, "strength": 0.5}
        (((condition, extra),),) = node("Mix").mix([[self.FIRST, kept]], [[self.SECOND, {"other": 1}]], 0.5)
        assert extra == kept and extra is not kept
        assert (self.FIRST == 1).all() and condition is not self.FIRST

    def test_one_condition_serves_a_batch(self, node):
        batch = torch.stack([torch.zeros(77, 64), torch.ones(77, 64)])
        (((condition, _),),) = node("Mix").mix([[self.FIRST, {}]], [[batch, {}]], 0.5)
        assert condition[:, 0, 0].tolist() == [0.5, 1.0]

    @pytest.mark.parametrize("shape", [(1, 77, 768), (1, 154, 64), (3, 77, 64)])
    def test_conditions_that_do_not_fit(self, node, refused, shape):
        with refused(r"one width.*got \[2, 77, 64\] and \[\d, \d+, \d+\]"):
            node("Mix").mix([[torch.zeros(2, 77, 64), {}]], [[torch.zeros(shape), {}]], 0.5)

    def test_several_entries(self, node, refused):
        entry = [self.FIRST, {}]
        with refused("2 entries, one is needed"):
            node("Mix").mix([entry], [entry, entry], 0.5)


class TestJoinedTexts:
    """What ComfyUI's Conditioning (Concat) makes: 154 tokens."""

    @pytest.mark.parametrize("text_guidance", [1.0, 2.0])
    def test_the_same_text_twice_is_that_text(self, node, model, photo, text_guidance):
        """Attention shares its weights between equal tokens, so that repeating all of them changes nothing."""
        (((condition, _),),) = node("Prompt").encode(model, "remove the fog")
        draw = node("Sample").sample
        once, twice = (
            draw(model, photo, [[text, {}]], 2, text_guidance=text_guidance, seed=3, **SETTINGS)[0]["samples"]
            for text in (condition, condition.repeat(1, 2, 1))
        )
        torch.testing.assert_close(twice, once, rtol=1e-3, atol=1e-3)


class TestColorMatch:
    def test_it_offers_what_the_core_has(self, node, core, monkeypatch, photo):
        monkeypatch.setattr(core("imaging.color"), "swap", lambda images, reference: reference, raising=False)
        choices = core("choices")
        monkeypatch.setitem(choices.COLOR_METHODS.rows, "swap", choices.Choice("imaging.color:swap", "the reference"))
        names, options = node("ColorMatch").INPUT_TYPES()["required"]["method"]
        assert names == list(choices.COLOR_METHODS) and "swap: the reference" in options["tooltip"]
        assert torch.equal(node("ColorMatch").match(photo, photo * 0.5, "swap")[0], photo * 0.5)

    @pytest.mark.parametrize("method", ["adain", "wavelet"])
    def test_it_is_the_core_s(self, node, core, photo, method):
        reference = photo.flip(2) * 0.5
        (matched,) = node("ColorMatch").match(photo, reference, method)
        assert torch.equal(matched, core("imaging.color").match_color(photo, reference, method))

    @pytest.mark.parametrize("method", ["adain", "wavelet"])
    def test_one_reference_of_another_size_serves_a_batch_with_alpha(self, node, photo, method):
        images, reference = with_alpha(torch.cat([photo, photo.flip(1)])), with_alpha(torch.full((1, 20, 30, 3), 0.25))
        before = images.clone()
        (matched,) = node("ColorMatch").match(images, reference, method)
        torch.testing.assert_close(matched[..., :3].mean(dim=(1, 2)), torch.full((2, 3), 0.25), rtol=0, atol=0.02)
        assert torch.equal(matched[..., 3], images[..., 3]) and torch.equal(images, before)

    def test_adain_takes_the_reference_unscaled(self, node, photo):
        """Every second column keeps mean and spread of a checkered picture, scaling it down would not."""
        checkered = torch.zeros(1, 40, 40, 3)
        checkered[:, ::2, ::2] = checkered[:, 1::2, 1::2] = 1.0
        (matched,) = node("ColorMatch").match(photo[:, :20, :20], checkered, "adain")
        assert matched.std().item() == pytest.approx(0.5, abs=0.01)

    @pytest.mark.parametrize("method", ["adain", "wavelet"])
    def test_a_picture_of_one_row(self, node, photo, flat_line, method):
        (matched,) = node("ColorMatch").match(flat_line, photo, method)
        assert matched.shape == flat_line.shape and torch.isfinite(matched).all()


class TestDegrade:
    @pytest.mark.parametrize("label", ["noise", "haze", "low resolution"])
    def test_it_is_the_core_s(self, node, core, photo, label):
        (degraded,) = node("Degrade").degrade(photo, label, 0.75, 3)
        assert torch.equal(degraded, core("degrade").degrade(photo, label, severity=0.75, seed=3, kind="standard"))
        assert not torch.equal(degraded, photo)

    def test_each_picture_of_a_batch_gives_what_it_gives_alone(self, node, photo):
        images = with_alpha(torch.cat([photo.flip(2), photo]))
        (both,) = node("Degrade").degrade(images, "rain", 0.5, 7)
        (alone,) = node("Degrade").degrade(photo, "rain", 0.5, 8)
        assert torch.equal(both[1:, ..., :3], alone)
        assert torch.equal(both[..., 3], images[..., 3])

    def test_the_seed_after_the_last_is_the_first(self, node, photo):
        (both,) = node("Degrade").degrade(torch.cat([photo, photo]), "noise", 0.5, 2**64 - 1)
        assert torch.equal(both[1:], node("Degrade").degrade(photo, "noise", 0.5, 0)[0])

    @pytest.mark.parametrize("label", DEGRADATIONS)
    @pytest.mark.parametrize("size", [(1, 72), (5, 5)])
    def test_a_small_picture_is_the_core_s_too(self, node, core, photo, label, size):
        small = photo[:, : size[0], : size[1]]
        (degraded,) = node("Degrade").degrade(small, label, 0.5, 1, torch.zeros(1, 64, 64) + 0.5)
        depth = torch.full(size, 0.5)
        assert torch.equal(degraded, core("degrade").degrade(small, label, kind="standard", seed=1, depth=depth))
        assert degraded.shape == small.shape and not torch.equal(degraded, small)

    def test_it_offers_what_the_core_has(self, node, core, monkeypatch, photo):
        """A new row of the table is there without a change to the node."""

        def invert(image, draw, *, severity):
            return 1 - image

        monkeypatch.setattr(core("degrade.haze"), "invert", invert, raising=False)
        choices = core("choices")
        row = choices.Degradation("degrade.haze:invert", "inverted colors")
        monkeypatch.setitem(choices.DEGRADATIONS.rows, "negative", row)
        names, options = node("Degrade").INPUT_TYPES()["required"]["degradation"]
        assert names == [*DEGRADATIONS, "negative"] and "negative: inverted colors" in options["tooltip"]
        assert torch.equal(node("Degrade").degrade(photo, "negative", 0.5, 0)[0], 1 - photo)

    def test_kinds_are_the_core_s(self, node, core, photo):
        (grain,) = node("Degrade").degrade(photo, "noise", 0.5, 3, kind="film grain")
        assert torch.equal(grain, core("degrade").degrade(photo, "noise", seed=3, kind="film grain"))
        (any_kind,) = node("Degrade").degrade(photo, "noise", 0.5, 3, kind="any")
        assert torch.equal(any_kind, core("degrade").degrade(photo, "noise", seed=3))

    def test_a_kind_of_another_degradation(self, node, photo, refused):
        with refused("unknown kind of rain 'film grain'; choose among: standard, thin"):
            node("Degrade").degrade(photo, "rain", 0.5, 3, kind="film grain")

    def test_a_cancel_ends_a_batch(self, node, photo, comfy, monkeypatch):
        calls = []
        monkeypatch.setattr(comfy("progress"), "raise_if_interrupted", lambda: calls.append(1))
        node("Degrade").degrade(torch.cat([photo, photo]), "noise", 0.5, 1)
        assert len(calls) == 2

    def test_haze_follows_the_depth(self, node, photo):
        """Near stays as it is, and the far half loses contrast, whether a mask or a picture says which is which."""
        mask = torch.zeros(1, 10, 12)
        mask[..., 6:] = 1
        (degraded,) = node("Degrade").degrade(photo, "haze", 0.8, 1, mask)
        near, far = (slice(None), slice(None), slice(0, 30)), (slice(None), slice(None), slice(42, None))
        assert (degraded - photo)[near].abs().max() < 0.02
        assert degraded[far].std() < 0.8 * photo[far].std()
        picture = with_alpha(mask[..., None].expand(-1, -1, -1, 3))
        torch.testing.assert_close(node("Degrade").degrade(photo, "haze", 0.8, 1, picture)[0], degraded)
        assert torch.equal(node("Degrade").degrade(photo, "haze", 0.8, 1, mask[0])[0], degraded)

    def test_the_empty_mask_of_load_image_is_near_everywhere(self, node, photo):
        (degraded,) = node("Degrade").degrade(photo, "haze", 1.0, 1, torch.zeros(1, 64, 64))
        assert (degraded - photo).abs().max() < 0.02

    def test_a_depth_for_each_picture(self, node, photo):
        batch, depth = torch.cat([photo, photo]), torch.stack([torch.zeros(8, 8), torch.ones(8, 8)])
        (degraded,) = node("Degrade").degrade(batch, "haze", 0.8, 1, depth)
        assert (degraded[0] - photo[0]).abs().max() < 0.02 < (degraded[1] - photo[0]).abs().max()

    @pytest.mark.parametrize(
        ("depth", "message"), [(torch.zeros(3, 8, 8), r"the depth must be \[1 or 1, "), (torch.ones(8, 8) * 9, "9")]
    )
    def test_a_depth_that_does_not_fit(self, node, photo, refused, depth, message):
        with refused(message):
            node("Degrade").degrade(photo, "haze", 0.8, 1, depth)


class TestCompare:
    def test_against_a_reference(self, node, photo, stand_in):
        """An offset of 0.1 has a PSNR of 20 dB, one of 0.01 of 40 dB."""
        reference = photo * 0.5 + 0.2
        done = node("Compare").compare(reference + 0.1, reference + 0.01, 0.5, reference)
        image, psnr, ssim, report = done["result"]
        assert psnr == pytest.approx(40, abs=1e-3) and 0.99 < ssim < 1
        assert report.splitlines()[0].startswith("before: PSNR 20.00 dB, SSIM 0.")
        assert report.splitlines()[1] == f"after: PSNR 40.00 dB, SSIM {ssim:.4f}"
        assert done["ui"] == {"images": [{"filename": "shown.png"}], "text": [report]}
        assert torch.equal(stand_in.shown[0], image) and len(report.splitlines()) == 2

    def test_without_a_reference_after_is_measured_against_before(self, node, photo, stand_in):
        _, psnr, ssim, report = node("Compare").compare(photo, photo, 0.5)["result"]
        assert (psnr, ssim) == (100.0, pytest.approx(1))
        assert report == "after against before: PSNR 100.00 dB, SSIM 1.0000"

    def test_a_batch_has_a_part_for_each_and_the_mean(self, node, photo, stand_in):
        reference = photo * 0.5 + 0.2
        after = torch.cat([reference + 0.1, reference + 0.01])
        image, psnr, _, report = node("Compare").compare(reference, after, 0.5, reference)["result"]
        assert psnr == pytest.approx(30, abs=1e-3) and len(image) == 2
        assert report.startswith("picture 1\nbefore: PSNR 100.00 dB") and "\n\npicture 2\n" in report
        assert report.splitlines()[-1].startswith("mean of after: PSNR 30.00 dB")

    @pytest.mark.parametrize("size", [(100, 144), (75, 108), (96, 144), (49, 71)])
    def test_before_is_scaled_to_after(self, node, photo, stand_in, size):
        after = torch.nn.functional.interpolate(photo.movedim(-1, 1), size, mode="bicubic").movedim(1, -1)
        _, psnr, _, report = node("Compare").compare(photo, after, 0.5)["result"]
        assert psnr > 25
        assert report.endswith(f"\n\nbefore was scaled from 72 x 50 to {size[1]} x {size[0]} pixels")

    def test_alpha_is_ignored_and_nothing_is_written_to(self, node, photo, stand_in):
        before = with_alpha(photo)
        kept = before.clone()
        image, *_ = node("Compare").compare(before, photo, 0.5, with_alpha(photo))["result"]
        assert image.shape[-1] == 3 and torch.equal(before, kept)

    @pytest.mark.parametrize("part", [(slice(None), slice(1)), (slice(None), slice(None), slice(1))])
    def test_a_line_of_pixels(self, node, photo, stand_in, part):
        _, psnr, ssim, _ = node("Compare").compare(photo[part], photo[part] * 0.9, 0.5)["result"]
        assert 10 < psnr < 40 and 0.5 < ssim < 1

    @pytest.mark.parametrize(
        ("after", "reference", "message"),
        [
            ((1, 40, 90, 3), None, "at one scale, got 72 x 50 and 90 x 40 pixels"),
            ((1, 100, 144, 3), (1, 50, 72, 3), "a reference of the size of after, got 72 x 50 and 144 x 100 pixels"),
            ((2, 50, 72, 3), (3, 50, 72, 3), "need 1 or 3 pictures, got 1, 2, 3"),
        ],
    )
    def test_sizes_that_do_not_fit(self, node, photo, refused, after, reference, message):
        with refused(message):
            node("Compare").compare(
                photo, torch.zeros(after), 0.5, None if reference is None else torch.zeros(reference)
            )


class TestSaveReport:
    @pytest.fixture
    def assessed(self, pack, core):
        probabilities = torch.tensor([[0.25, 0.75], [0.875, 0.125]])
        assessment = core("outputs").Assessment(("haze", "no"), probabilities, torch.zeros(2, 77, 8))
        return pack.assess.AssessmentOutput(assessment, torch.zeros(2, 77, 8))

    def test_a_text_is_written_as_it_is(self, node, stand_in):
        done = node("SaveReport").save("autodir/report", "txt", "round 1: haze 62 %\ndone: größer")
        (path,) = done["result"]
        assert Path(path) == stand_in.output / "autodir/report_00001_.txt"
        assert Path(path).read_text(encoding="utf-8") == "round 1: haze 62 %\ndone: größer\n"
        assert done["ui"] == {"text": [path]} and stand_in.told == [("7", path)], "the node shows where it is"

    @pytest.mark.parametrize("prefix", ["report", "autodir/"])
    def test_nothing_is_overwritten(self, node, stand_in, prefix):
        paths = [Path(node("SaveReport").save(prefix, "txt", text)["result"][0]) for text in ("one", "two")]
        assert [path.read_text() for path in paths] == ["one\n", "two\n"]
        assert sorted(path for path in stand_in.output.rglob("*") if path.is_file()) == paths

    def test_an_assessment_alone(self, node, stand_in, assessed):
        (path,) = node("SaveReport").save("a", "txt", assessment=assessed)["result"]
        assert Path(path).read_text() == "picture 1\nno 75 %\nhaze 25 %\n\npicture 2\nhaze 88 %\nno 12 %\n"

    def test_json_has_both(self, node, stand_in, assessed, core):
        (path,) = node("SaveReport").save("a", "json", "line 1\n线 2", assessed)["result"]
        assert json.loads(Path(path).read_text(encoding="utf-8")) == {
            "autodir": importlib.import_module(core("errors").__package__).__version__,
            "report": ["line 1", "线 2"],
            "labels": ["haze", "no"],
            "pictures": [
                {"label": "no", "probabilities": {"no": 0.75, "haze": 0.25}},
                {"label": "haze", "probabilities": {"haze": 0.875, "no": 0.125}},
            ],
        }

    @pytest.mark.parametrize("prefix", ["../../../etc/passwd", "/etc/passwd", "a/../../b"])
    def test_a_prefix_out_of_the_output_folder(self, node, stand_in, core, prefix):
        with pytest.raises(core("errors").InputError, match="must stay in the output folder"):
            node("SaveReport").save(prefix, "txt", "text")

    def test_nothing_to_save(self, node, stand_in, refused):
        with refused("connect a report, an assessment or both"):
            node("SaveReport").save("a", "json")
        assert not list(stand_in.output.iterdir())


class TestDamageMap:
    def locate(self, node, model, picture, label, monkeypatch, found):
        """The outputs for a model that finds `found`, a map [L, 2, 2], in every picture."""
        monkeypatch.setattr(type(model.model), "locate", lambda autodir, image: found.clone())
        return node("DamageMap").locate(model, picture, label)["result"]

    @pytest.fixture
    def found(self, model):
        """Haze on the left, rain a little on the right."""
        labels = model.model.labels
        values = torch.zeros(len(labels), 2, 2)
        values[labels.index("haze"), :, 0] = 0.9
        values[labels.index("rain"), :, 1] = 0.35
        values[labels.index("no")] = 0.05
        return values

    def test_the_strongest_degradation_has_the_mask(self, node, model, photo, monkeypatch, found):
        pair = torch.cat([photo, photo.flip(2)])
        mask, heat, label = self.locate(node, model, pair, "", monkeypatch, found)
        assert label == "haze, haze" and mask.shape == pair.shape[:3]
        assert (mask[..., 0] == 1).all() and (mask[..., -1] == 0).all()
        assert heat.shape[0] == 1 and heat.min() >= 0 and heat.max() <= 1

    def test_a_named_one_has_its_own(self, node, model, photo, monkeypatch, found):
        mask, _, label = self.locate(node, model, photo, " Rain ", monkeypatch, found)
        assert label == "rain" and torch.allclose(mask[..., -1], torch.tensor(0.5)) and (mask[..., 0] == 0).all()

    def test_a_clean_picture_has_an_empty_mask(self, node, model, photo, monkeypatch, found):
        found[model.model.labels.index("no")] = 0.95
        mask, _, label = self.locate(node, model, photo, "", monkeypatch, found)
        assert label == "no" and not mask.any()

    def test_it_looks_for_a_degradation_of_the_model(self, node, model, photo, refused):
        for label in ("no", "dust"):
            with refused("no" if label == "no" else "dust"):
                node("DamageMap").locate(model, photo, label)

    def test_the_whole_way(self, node, model, photo):
        mask, _, label = node("DamageMap").locate(model, photo, "")["result"]
        assert mask.shape == photo.shape[:3] and label in model.model.labels
