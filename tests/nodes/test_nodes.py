"""The nodes by themselves, on the tiny golden model."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

SETTINGS = {"sampler": "euler_ancestral", "text_guidance": 1.0, "image_guidance": 1.0}
LOOP = {"seed": 3, "max_rounds": 2, "text_guidance": 1.0, "image_guidance": 1.0, "prompt": "", "scm_weight": -1.0}


@pytest.fixture
def assessed(node, model, photo):
    return node("Assess").assess(model, photo, "")["result"][0]


@pytest.fixture
def generated(node, model, photo, assessed):
    """One round, step by step, up to the decoder."""
    (condition,) = node("Blend").blend(assessed, 1.0, 0, "")
    (latent,) = node("Sample").sample(model, photo, condition, 2, seed=3, **SETTINGS)
    return node("Decode").decode(model, latent)[0]


class TestAssess:
    def test_report_and_top_label(self, node, model, photo, assessed, stand_in):
        done = node("Assess").assess(model, photo, "")
        _, top, report = done["result"]
        probabilities = dict(
            zip(assessed.assessment.labels, assessed.assessment.probabilities[0].tolist(), strict=True)
        )
        assert top == max(probabilities, key=probabilities.__getitem__)
        assert report.splitlines()[0] == f"{top} {100 * probabilities[top]:.0f} %"
        assert len(report.splitlines()) == 8
        assert done["ui"] == {"images": [{"filename": "shown.png"}], "text": [report]}
        assert stand_in.shown[0].shape[0] == 1 and stand_in.shown[0].std() > 0

    def test_labels_are_read_from_text(self, node, model, photo):
        found, *_ = node("Assess").assess(model, photo, " haze, low resolution\n no,\n")["result"]
        assert found.assessment.labels == ("haze", "low resolution", "no")
        assert found.prompt_states.shape[0] == 3

    def test_the_crops_is_the_core_s(self, node, model):
        large = torch.rand(1, 230, 300, 3, generator=torch.Generator().manual_seed(4))
        for crops in ("center", "grid"):
            found, _, report = node("Assess").assess(model, large, "", crops)["result"]
            assert torch.equal(found.assessment.probabilities, model.model.assess(large, crops=crops).probabilities)
            assert report.splitlines()[-1].endswith(" of 4 crops") == (crops == "grid")

    def test_an_unknown_label_is_named(self, node, model, photo, core):
        with pytest.raises(core("errors").InputError, match="unknown label 'fog'; this model knows: noise, blur"):
            node("Assess").assess(model, photo, "haze, fog")

    def test_a_batch_has_a_part_of_the_report_for_each(self, node, model, photo):
        batch = torch.cat([photo, photo.flip(1)])
        _, top, report = node("Assess").assess(model, batch, "")["result"]
        assert report.splitlines()[0] == "picture 1" and "\n\npicture 2\n" in report
        assert len(top.split(", ")) == 2


class TestBlend:
    def test_the_defaults_are_the_assessment_s_own_condition(self, node, assessed):
        ((condition, extra),) = node("Blend").blend(assessed, 1.0, 0, "")[0]
        assert torch.equal(condition, assessed.assessment.embedding)
        assert extra == {}

    def test_a_label_left_out_does_not_count(self, node, assessed):
        assessment = assessed.assessment
        ((condition, _),) = node("Blend").blend(assessed, 1.0, 0, "Haze")[0]
        weights = assessment.probabilities[0].clone()
        weights[assessment.labels.index("haze")] = 0
        expected = torch.einsum("l,ltd->td", weights / weights.sum(), assessed.prompt_states)
        torch.testing.assert_close(condition[0], expected)

    def test_one_label_gives_its_own_prompt(self, node, assessed):
        ((condition, _),) = node("Blend").blend(assessed, 1.0, 1, "")[0]
        assert torch.allclose(condition[0], assessed.prompt_states[assessed.assessment.probabilities[0].argmax()])

    def test_everything_left_out(self, node, assessed, core):
        with pytest.raises(core("errors").InputError, match="every label is excluded"):
            node("Blend").blend(assessed, 1.0, 0, ",".join(assessed.assessment.labels))


class TestReweigh:
    @pytest.fixture
    def sharpen_probabilities(self, core):
        return core("stages.conditioning").sharpen_probabilities

    P = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])

    def test_temperature(self, sharpen_probabilities):
        squared = self.P**2
        torch.testing.assert_close(
            sharpen_probabilities(self.P, temperature=0.5), squared / squared.sum(1, keepdim=True)
        )

    def test_top_k_is_chosen_per_picture_and_after_exclusion(self, sharpen_probabilities):
        excluded = torch.tensor([True, False, False])
        torch.testing.assert_close(
            sharpen_probabilities(self.P, top_k=2),
            torch.tensor([[5 / 8, 3 / 8, 0], [1 / 9, 0, 8 / 9]]),
            rtol=1e-5,
            atol=1e-6,
        )
        assert torch.equal(
            sharpen_probabilities(self.P, top_k=1, excluded=excluded), torch.tensor([[0.0, 1, 0], [0, 0, 1]])
        )

    def test_vanished_probabilities_stay_finite(self, sharpen_probabilities):
        weights = sharpen_probabilities(
            torch.tensor([[1.0, 0, 0]]), temperature=0.01, excluded=torch.tensor([True, False, False])
        )
        assert torch.allclose(weights, torch.tensor([[0, 0.5, 0.5]]))

    def test_the_defaults_change_no_bit(self, sharpen_probabilities):
        assert sharpen_probabilities(self.P) is self.P

    @pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"top_k": -1}])
    def test_impossible_settings(self, sharpen_probabilities, core, settings):
        with pytest.raises(core("errors").InputError, match="must be"):
            sharpen_probabilities(self.P, **settings)


class TestStepByStep:
    def test_one_round_is_the_first_of_the_loop(self, model, node, photo, generated, core):
        corrected, residual = node("Correct").correct(model, photo, generated, 1.0)
        settings = core("settings").SamplerSettings(steps=2)
        first = (
            core("pipeline").restore(model.model, photo, core("settings").LoopSettings(1), settings, seed=3).rounds[0]
        )
        assert generated.shape == photo.shape
        assert torch.equal(generated, first.generated)
        assert torch.equal(corrected, first.corrected)
        assert torch.equal(residual, first.corrected - first.generated + 0.5)

    def test_each_picture_of_a_batch_gives_what_it_gives_alone(self, node, model, photo, assessed):
        (condition,) = node("Blend").blend(assessed, 1.0, 0, "")
        batch = torch.cat([photo.flip(2), photo])
        (both,) = node("Sample").sample(model, batch, condition, 2, seed=2, **SETTINGS)
        (alone,) = node("Sample").sample(model, photo, condition, 2, seed=3, **SETTINGS)
        assert torch.equal(both["samples"][1:], alone["samples"])

    def test_the_progress_counts_all_steps_of_the_batch(self, node, model, photo, assessed, stand_in):
        (condition,) = node("Blend").blend(assessed, 1.0, 0, "")
        node("Sample").sample(model, torch.cat([photo, photo]), condition, 2, seed=2, **SETTINGS)
        (bar,) = stand_in.bars
        assert list(dict.fromkeys(bar.done)) == [0, 250, 500, 750, 1000] and bar.total == 1000

    def test_the_latent_is_not_scaled(self, node, model, photo, core):
        (condition,) = node("Prompt").encode(model, "remove the fog")
        (latent,) = node("Sample").sample(model, photo, condition, 2, seed=3, **SETTINGS)
        text, settings = model.model.embed_text(["remove the fog"]), core("settings").SamplerSettings(steps=2)
        scaled = model.model.sample(model.model.encode(photo), text, settings, seed=3)
        assert torch.equal(latent["samples"], scaled / 0.18215)

    def test_a_resized_latent_is_decoded_whole(self, node, model, photo, assessed):
        (condition,) = node("Blend").blend(assessed, 1.0, 0, "")
        (latent,) = node("Sample").sample(model, photo, condition, 1, seed=3, **SETTINGS)
        larger = {**latent, "samples": torch.nn.functional.interpolate(latent["samples"], scale_factor=2)}
        assert node("Decode").decode(model, latent)[0].shape == photo.shape
        assert node("Decode").decode(model, larger)[0].shape == (1, 128, 160, 3)

    def test_a_latent_of_another_model(self, node, model, core):
        with pytest.raises(core("errors").InputError, match=r"are \[B, 4, h, w\], got \[1, 16, 8, 8\]"):
            node("Decode").decode(model, {"samples": torch.zeros(1, 16, 8, 8)})

    def test_conditions_that_do_not_fit(self, node, model, photo, core):
        entry = [torch.zeros(1, 77, 64), {}]
        for wrong, message in [
            ([entry, entry], r"has 2 entries.*Conditioning \(Average\)"),
            ([[torch.zeros(2, 77, 64), {}]], r"must be \[1 or 1, tokens, 64\].*got \[2, 77, 64\]"),
            ([[torch.zeros(1, 77, 768), {}]], "got .*768"),
        ]:
            with pytest.raises(core("errors").InputError, match=message):
                node("Sample").sample(model, photo, wrong, 1, seed=3, **SETTINGS)


class TestMask:
    @pytest.fixture
    def mask(self):
        """Restores the right half; four times smaller than the picture, so its edge becomes a ramp."""
        mask = torch.zeros(1, 13, 18)
        mask[..., 9:] = 1
        return mask

    def test_correct_keeps_the_outside_bit_for_bit(self, node, model, photo, generated, mask):
        whole, _ = node("Correct").correct(model, photo, generated, 1.0)
        image, _ = node("Correct").correct(model, photo, generated, 1.0, mask)
        assert torch.equal(image[:, :, :30], photo[:, :, :30])
        assert torch.equal(image[:, :, 42:], whole[:, :, 42:])
        assert not torch.equal(image[:, :, 30:42], whole[:, :, 30:42])

    def test_restore_keeps_the_outside_bit_for_bit(self, node, model, photo, mask):
        image, *_ = node("Restore").restore(model, photo, 1, mask=mask[0], **LOOP)["result"]
        assert torch.equal(image[:, :, :30], photo[:, :, :30])
        assert not torch.equal(image[:, :, 42:], photo[:, :, 42:])

    def test_restore_tells_of_its_mask(self, node, model, photo, mask, stand_in):
        done = node("Restore").restore(model, photo, 1, mask=mask, **LOOP)["result"]
        assert done[1].endswith("inside the mask only, 50 % of the picture; the rest is the input")
        whole = node("Restore").restore(model, photo, 1, **LOOP)["result"]
        assert done[2].shape == whole[2].shape and not torch.equal(done[2], whole[2]), "the montage shows the rounds so"

    def test_an_empty_mask_costs_restore_nothing(self, node, model, photo, mask, monkeypatch, core):
        """The other picture of the batch gives what it gives without a mask."""
        pair, masks = torch.cat([photo, photo.flip(2)]), torch.cat([torch.zeros_like(mask), torch.ones_like(mask)])
        image, report, _ = node("Restore").restore(model, pair, 1, mask=masks, **LOOP)["result"]
        assert torch.equal(image, torch.cat([photo, node("Restore").restore(model, pair, 1, **LOOP)["result"][0][1:]]))
        assert report.splitlines()[1] == "done: the mask is empty, nothing was to be restored"
        monkeypatch.setattr(core("pipeline"), "run_loop", None)
        assert torch.equal(node("Restore").restore(model, photo, 1, mask=masks[:1], **LOOP)["result"][0], photo)

    def test_restore_refuses_a_mask_of_another_batch_at_once(self, node, model, photo, monkeypatch, core):
        monkeypatch.setattr(core("pipeline"), "run_loop", None)
        with pytest.raises(core("errors").InputError, match=r"the mask must be \[1 or 1, height, width\]"):
            node("Restore").restore(model, photo, 1, mask=torch.ones(3, 8, 8), **LOOP)

    def test_an_empty_mask_keeps_everything(self, node, model, photo, generated):
        image, _ = node("Correct").correct(model, photo, generated, 1.0, torch.zeros(1, 64, 64))
        assert torch.equal(image, photo)

    def test_a_mask_of_another_batch(self, node, model, photo, generated, core):
        with pytest.raises(
            core("errors").InputError, match=r"the mask must be \[1 or 1, height, width\], got \[3, 8, 8\]"
        ):
            node("Correct").correct(model, photo, generated, 1.0, torch.zeros(3, 8, 8))

    def test_sizes_that_differ(self, node, model, photo, generated, core):
        with pytest.raises(core("errors").InputError, match=r"one size and batch.+AutoDIR Decode or VAE Decode"):
            node("Correct").correct(model, photo[:, :40], generated, 1.0)


class TestRestore:
    def test_it_is_the_loop_of_the_core(self, node, model, photo, core, stand_in):
        done = node("Restore").restore(model, photo, 2, **LOOP)
        image, report, montage = done["result"]
        records = core("settings")
        expected = core("pipeline").restore(
            model.model, photo, records.LoopSettings(2), records.SamplerSettings(steps=2), seed=3
        )
        assert torch.equal(image, expected.image)
        assert report.splitlines() == core("reporting.summary").round_lines(expected)
        assert torch.equal(montage, core("reporting.montage").round_montage(photo, expected))
        assert done["ui"]["text"] == [report]
        assert len(done["ui"]["images"]) == 1 and torch.equal(stand_in.shown[-1], montage)
        (bar,) = stand_in.bars
        assert bar.done == sorted(bar.done) and (bar.done[0], bar.done[-1]) == (0, bar.total), "one bar for all rounds"
        assert bar.total // 2 in bar.done, "the first of two rounds"
        *_, (node_id, text), last = stand_in.told
        assert node_id == "7" and re.fullmatch(r"round 2, correct 1/1; before: [a-z ]+ \d+ %", text)
        assert last == ("7", "stopped: limit of 2 rounds reached")

    def test_the_previews_end_with_the_montage(self, node, model, photo, stand_in, monkeypatch, comfy):
        monkeypatch.setattr(comfy("progress"), "latent_previewer", lambda model: lambda done, estimate: None)
        monkeypatch.setattr(comfy("progress").args, "preview_method", "auto")
        _, _, montage = node("Restore").restore(model, photo, 2, **LOOP)["result"]
        (bar,) = stand_in.bars
        kind, picture, _ = bar.previews[-1]
        assert (kind, picture.size, bar.done[-1]) == ("JPEG", (montage.shape[2], montage.shape[1]), 1000)
        assert torch.equal(torch.from_numpy(np.array(picture)), (montage[0] * 255).round().to(torch.uint8)), "rounded"

    def test_previews_are_rounded_to_eight_bits(self, model, stand_in, monkeypatch, comfy):
        monkeypatch.setattr(comfy("progress").args, "preview_method", "auto")
        monkeypatch.setattr(comfy("progress"), "latent_previewer", lambda model: lambda done, estimate: None)
        image = torch.tensor([0.6, 253.6, 300.0]).expand(20, 30, 3) / 255
        comfy("progress").NodeProgress(model.model).show_result(image)
        _, picture, _ = stand_in.bars[-1].previews[-1]
        assert picture.getpixel((0, 0)) == (1, 254, 255)

    def test_connected_settings_replace_its_own(self, node, model, photo, core):
        (sampler,) = node("SamplerSettings").settings(1, "euler", 2.0, 1.0, "fog")
        (loop,) = node("LoopSettings").settings(
            "haze,rain",
            **{"crops": "center", "min_confidence": 0.0, "gate": True, "strength": 0.5},
            **{"order": "physical", "local": True, "candidates": 2},
        )
        connected = {"sampler_settings": sampler, "loop_settings": loop}
        image, *_ = node("Restore").restore(model, photo, 9, **{**LOOP, "preset": "fast", **connected})["result"]
        records = core("settings")
        wanted = records.LoopSettings(
            2, ["haze", "rain"], gate=True, strength=0.5, order="physical", local=True, candidates=2,
            reduced_labels=["underexposure"],
        )  # fmt: skip
        given = records.SamplerSettings(1, "euler", 2.0, 1.0, "fog")
        assert torch.equal(image, core("pipeline").restore(model.model, photo, wanted, given, seed=3).image)

    def test_what_a_preset_takes_the_place_of_is_told(self, node, model, photo):
        """Of widgets that were changed; those of a new node say nothing."""
        chosen = {**LOOP, "preset": "fast", "sampler": "euler"}
        _, report, _ = node("Restore").restore(model, photo, 61, **chosen)["result"]
        assert report.splitlines()[:2] == [
            "preset fast: steps 4; 61 counts with custom only",
            "preset fast: sampler euler_ancestral; euler counts with custom only",
        ]
        for steps, preset in ((12, "fast"), (4, "fast"), (2, "custom")):
            _, report, _ = node("Restore").restore(model, photo, steps, **{**LOOP, "preset": preset})["result"]
            assert "custom only" not in report

    def test_the_own_words_and_the_own_weight(self, node, model, photo, core):
        settings = {**LOOP, "prompt": " remove the fog\n", "scm_weight": 0.0}
        image, report, _ = node("Restore").restore(model, photo, 1, **settings)["result"]
        records = core("settings")
        loop = records.LoopSettings(prompt="remove the fog", scm_weight=0.0)
        expected = core("pipeline").restore(model.model, photo, loop, records.SamplerSettings(steps=1), seed=3)
        assert torch.equal(image, expected.image)
        assert torch.equal(image, expected.rounds[0].generated)
        assert "custom prompt" in report

    def test_the_crops_and_the_threshold_are_the_core_s(self, node, model, core):
        large, records = torch.rand(1, 230, 300, 3, generator=torch.Generator().manual_seed(4)), core("settings")
        seen = model.model.assess(large, crops="grid")
        at = seen.probabilities.max().item()
        image, report, _ = node("Restore").restore(model, large, 1, crops="grid", min_confidence=at, **LOOP)["result"]
        loop, sampler = records.LoopSettings(2, crops="grid", min_confidence=at), records.SamplerSettings(1)
        expected = core("pipeline").restore(model.model, large, loop, sampler, seed=3)
        assert torch.equal(image, expected.image) and report.splitlines() == core("reporting.summary").round_lines(
            expected
        )
        assert expected.rounds, "one exactly at the threshold is restored"
        above = node("Restore").restore(model, large, 1, crops="grid", min_confidence=at + 1e-6, **LOOP)["result"]
        assert torch.equal(above[0], large)
        assert above[1].startswith(f"done: low confidence ({seen.top[0]} {100 * at:.0f} %); if you see it")

    def test_alpha_is_kept(self, node, model, photo):
        alpha = torch.rand(1, 50, 72, 1)
        with_alpha = torch.cat([photo, alpha], dim=-1)
        plain, *_ = node("Restore").restore(model, photo, 1, **LOOP)["result"]
        image, _, montage = node("Restore").restore(model, with_alpha, 1, **LOOP)["result"]
        assert torch.equal(image, torch.cat([plain, alpha], dim=-1))
        assert montage.shape[-1] == 3

    def test_a_clean_picture_comes_back_untouched(self, node, model, photo):
        image, report, _ = node("Restore").restore(model, photo, 1, labels="no", **LOOP)["result"]
        assert torch.equal(image, photo)
        assert report == "done: clean (no 100 %)"

    def test_the_inputs_are_not_written_to(self, node, model, photo):
        before, mask = photo.clone(), torch.full((1, 64, 64), 0.5)
        node("Restore").restore(model, photo, 1, mask=mask, **LOOP)
        assert torch.equal(photo, before) and (mask == 0.5).all()

    def test_montages_of_a_batch_have_one_size(self, node, model, photo):
        _, report, montage = node("Restore").restore(model, torch.cat([photo, photo.flip(1)]), 1, **LOOP)["result"]
        assert montage.shape[0] == 2 and report.count("\nstopped: limit of 2 rounds reached") == 2

    def test_the_node_shows_the_first_montages_of_a_large_batch(self, node, model, photo, stand_in):
        done = node("Restore").restore(model, photo.repeat(6, 1, 1, 1), 1, labels="no", **LOOP)
        assert len(done["ui"]["images"]) == len(stand_in.shown[-1]) == 4 and len(done["result"][2]) == 6


class TestOneDecision:
    """Frames of a shot: what one of them needs is done to all, with its noise."""

    @pytest.fixture
    def frames(self, photo):
        return torch.cat([photo, (photo * 0.9), torch.zeros_like(photo)])

    def test_the_rounds_of_the_one_that_stands_for_all(self, node, model, frames, core, stand_in):
        image, report, montage = node("Restore").restore(model, frames, 1, one_decision=True, **LOOP)["result"]
        records, pipeline = core("settings"), core("pipeline")
        loop, sampler = records.LoopSettings(2, round_height=512), records.SamplerSettings(1)
        found = pipeline.decide(model.model, frames.split(1), loop, sampler, seed=3)
        torch.testing.assert_close(image[found.example], found.outcome.image[0], atol=1e-4, rtol=0)
        for one, picture in zip(image.split(1), frames.split(1), strict=True):
            again = pipeline.repeat_rounds(model.model, picture, found.rounds, loop, sampler, seed=3)
            assert torch.equal(one, again)
        title, *lines = report.splitlines()
        assert title == f"one decision for all 3 pictures, made on picture {found.example + 1}"
        assert lines == core("reporting.summary").round_lines(found.outcome)
        assert len(montage) == 1 and torch.equal(stand_in.shown[-1], montage)
        (bar,) = stand_in.bars
        assert bar.done == sorted(bar.done) and bar.done[-1] == bar.total
        texts = [text for _, text in stand_in.told]
        assert texts[0].startswith("decision for all, round 1, ") and "picture 3 of 3, as decided" in texts

    def test_pictures_that_nothing_is_asked_of_have_no_say(self, node, model, frames):
        mask = torch.ones(3, 50, 72)
        mask[0], mask[1, :25] = 0, 0
        settings = {**LOOP, "mask": mask, "one_decision": True}
        image, report, _ = node("Restore").restore(model, frames, 1, **settings)["result"]
        assert torch.equal(image[0], frames[0]) and torch.equal(image[1, :25], frames[1, :25])
        assert not torch.equal(image[1, 25:], frames[1, 25:]) and not torch.equal(image[2], frames[2])
        assert report.startswith("one decision for all 2 pictures, made on picture ")

    def test_of_one_picture_it_is_its_own(self, node, model, photo):
        image, report, _ = node("Restore").restore(model, photo, 1, one_decision=True, **LOOP)["result"]
        alone, expected, _ = node("Restore").restore(model, photo, 1, **LOOP)["result"]
        assert torch.equal(image, alone) and report == expected

    def test_assess_gives_the_mean(self, node, model, frames):
        (each, _, _), (mean, label, report) = (
            node("Assess").assess(model, frames, "", one_decision=one)["result"] for one in (False, True)
        )
        expected = each.assessment.probabilities.mean(dim=0, keepdim=True)
        assert torch.equal(mean.assessment.probabilities, expected) and "," not in label
        assert len(report.splitlines()) == 8
        (condition,) = node("Blend").blend(mean, 1.0, 0, "")
        assert condition[0][0].shape[0] == 1, "one for all pictures of Sample"
