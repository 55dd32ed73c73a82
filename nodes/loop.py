"""AutoDIR Loop Open and AutoDIR Loop Close: the user's own graph between them runs until nothing is left to restore."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..autodir_core.errors import InputError
from ..autodir_core.imaging.layout import check_images
from ..autodir_core.labels import check_labels, parse_labels
from ..autodir_core.model import AutoDIR
from ..autodir_core.reporting.summary import batch_text, round_lines
from ..autodir_core.settings import check_confidence
from ..autodir_core.stages.quality_gate import QualityGate
from .assess import AssessmentOutput
from .comfy import devices, expansion
from .comfy.language import report_language
from .comfy.memory import HostedModel
from .shared import io, loop_graph, loop_state

REUSED = "Rounds that were run are used again when it changes, as long as ComfyUI's cache keeps them."


class AnyType(str):
    """A type that matches every other. Only `!=` is overridden: with `==` too the server would refuse constants."""

    def __ne__(self, other: object) -> bool:
        return False


ANY = AnyType("*")

Link = list[Any]
"""[id, output] of another node in a prompt."""

LAZY_RAW_LINK = {"lazy": True, "rawLink": True}
"""Options of inputs that ComfyUI neither evaluates nor passes on: the node receives the link itself.

With values a clean picture would block Loop Close as soon as a preview asked for the body's nodes first.
"""


class AutoDIRLoopOpen:
    DISPLAY_NAME = "AutoDIR Loop Open"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Begins a round of your own graph: assesses what the picture still needs and gives it to the nodes between "
        "here and AutoDIR Loop Close, which run again until the picture is clean. Previews and Save nodes on them run "
        "in every round; when the picture is clean, nothing that depends on this node runs."
    )
    SEARCH_ALIASES = ["loop start", "for each degradation", "repeat", "while", "iterate"]
    RETURN_TYPES = ("AUTODIR_LOOP", "IMAGE", "AUTODIR_ASSESSMENT", "STRING", "FLOAT", "INT", ANY, ANY)
    RETURN_NAMES = ("loop", "image", "assessment", "label", "weight", "index", "value_a", "value_b")
    OUTPUT_TOOLTIPS = (
        "Goes straight into AutoDIR Loop Close.",
        "The pictures as they enter the round. Of a batch all go through every round, so that picture i keeps its "
        "seed; of one that is finished, what your nodes return is discarded.",
        "What the picture still needs, for AutoDIR Blend. Labels that won before have probability 0.",
        'The degradation to restore in this round; of a batch one per picture, separated by commas, "no" where one is '
        "finished.",
        "Weight of the structure correction after this label, for AutoDIR Correct: officially 1, and 0 after low "
        "resolution. One per picture where those of a batch differ.",
        "Number of the round, from 0.",
        "Your own value: the input of this node in the first round, that of AutoDIR Loop Close afterwards.",
        "Your second value, as the first.",
    )
    FUNCTION = "open"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": io.MODEL,
                "image": ("IMAGE", {"tooltip": "The pictures to restore, of any size; alpha is kept."}),
            },
            "optional": {
                "labels": io.LABELS,
                "value_a": (ANY, {"tooltip": "Any value that your nodes pass on from round to round, such as a mask."}),
                "value_b": (ANY, {"tooltip": "A second value that your nodes pass on from round to round."}),
                "crops": io.advanced(io.CROPS),
                "one_decision": io.explain(io.ONE_DECISION, "The gate of AutoDIR Loop Close judges by one of them."),
            },
            # for clones; tuples, because ComfyUI looks up the options of linked inputs
            "hidden": {
                loop_graph.PREVIOUS: ("AUTODIR_LOOP", {}),
                loop_graph.LAST: ("BOOLEAN", {}),
                loop_graph.LOW_CONFIDENCE: ("STRING", {}),
                loop_graph.GATE: ("BOOLEAN", {}),
            },
        }

    def open(
        self,
        model: HostedModel,
        image: Tensor,
        labels: str = "",
        value_a: Any = None,
        value_b: Any = None,
        crops: str = io.CROPS[1]["default"],
        one_decision: bool = False,
        previous: loop_state.Loop | None = None,
        last: bool = False,
        low_confidence: str = "",
        gate: bool = False,
    ) -> tuple[Any, ...]:
        refuse_lists()
        values = value_a, value_b
        if previous is None:
            check_images(io.split_alpha(image)[0])
            asked = check_labels(parse_labels(labels) or model.model.labels, model.model.labels)
            loop = loop_state.start(image, asked, values, model.model.metadata)
        else:
            before = loop_state.mark_low_confidence(previous, low_confidence)
            judge = QualityGate.of(model.load(*image.shape[1:3]), before.labels, crops) if gate else None
            loop = loop_state.apply_round(before, image, values, judge)
        if last:
            return self.blocked_outputs(loop)
        autodir = model.load(*image.shape[1:3])
        loop = loop_state.assess(autodir, loop, crops, one_decision)
        return self.round_outputs(autodir, loop) if loop.in_progress else self.blocked_outputs(loop)

    def blocked_outputs(self, loop: loop_state.Loop) -> tuple[Any, ...]:
        """Return outputs after which no node of the body runs, not even for a preview."""
        return loop, *[expansion.blocked_output()] * (len(self.RETURN_TYPES) - 1)

    def round_outputs(self, autodir: AutoDIR, loop: loop_state.Loop) -> tuple[Any, ...]:
        """Return the outputs for the nodes of the body."""
        states = autodir.prompts(loop.labels).states.to(devices.intermediate_device())
        return (
            loop,
            loop.images.to(devices.intermediate_device()),
            AssessmentOutput(loop_state.current_assessment(loop), states),
            loop_state.current_labels(loop),
            loop_state.current_weights(loop, autodir),
            loop.index,
            *loop.values,
        )


class AutoDIRLoopClose:
    DISPLAY_NAME = "AutoDIR Loop Close"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Ends a round of your own graph and begins the next one, until the picture is clean, no label is left, the "
        "limit of rounds is reached or the confidence is too low. Take results from here: a node elsewhere that "
        "takes one from inside sees the first round."
    )
    SEARCH_ALIASES = ["loop end", "repeat until clean", "while", "iterate"]
    RETURN_TYPES = ("IMAGE", "INT", "STRING", "IMAGE", ANY, ANY)
    RETURN_NAMES = ("image", "rounds", "report", "pictures", "value_a", "value_b")
    OUTPUT_TOOLTIPS = (
        "The pictures after their last rounds; one that is found clean at once, or with low confidence, comes back "
        "untouched.",
        "How many rounds were run; of a batch, for the picture that needed most.",
        "What was found in each round, with probabilities in percent, and why the loop stopped.",
        "The input and the pictures after each round as one batch, in the size of the last round and without alpha. Of "
        "a batch all its pictures, then all after round 1, and so on; one that is finished is repeated.",
        "Your own value after the last round.",
        "Your second value after the last round.",
    )
    FUNCTION = "close"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "loop": ("AUTODIR_LOOP", {"tooltip": "Straight from AutoDIR Loop Open."}),
                "image": (
                    "IMAGE",
                    {
                        **LAZY_RAW_LINK,
                        "tooltip": "The result of your nodes; the next round begins with it. Upscalers are "
                        "fine, but of a batch all pictures must change alike. Lists are refused.",
                    },
                ),
                "max_rounds": io.explain(io.MAX_ROUNDS, REUSED),
            },
            "optional": {
                "value_a": (ANY, {**LAZY_RAW_LINK, "tooltip": "Your own value for the next round; unlinked it stays."}),
                "value_b": (ANY, {**LAZY_RAW_LINK, "tooltip": "Your second value for the next round, as the first."}),
                "min_confidence": io.explain(io.MIN_CONFIDENCE, REUSED),
                "gate": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Accept a round only where the damage went and the content stayed, else a half or a "
                        "quarter of the change, or the picture as it was. Your own nodes are judged as ours are.",
                    },
                ),
            },
            "hidden": {"node_id": "UNIQUE_ID", "graph": "DYNPROMPT"},
        }

    def close(
        self,
        loop: loop_state.Loop,
        image: Link,
        max_rounds: int,
        value_a: Link | None = None,
        value_b: Link | None = None,
        min_confidence: float = io.MIN_CONFIDENCE[1]["default"],
        gate: bool = False,
        node_id: str = "",
        graph: Any = None,
    ) -> tuple[Any, ...] | dict[str, Any]:
        """Return the results, or expand to another round, whose Loop Open gets the links to the results of this one."""
        refuse_lists()
        check_rounds(max_rounds)
        loop = loop_state.apply_confidence(loop, check_confidence(min_confidence), gate)
        if not loop.in_progress:
            return self.final_outputs(loop, max_rounds)
        check_host()
        last, low_confidence = loop_state.is_last_round(loop, max_rounds), loop_state.low_confidence_indices(loop)
        return expand_round(graph, node_id, last=last, low_confidence=low_confidence, outputs=len(self.RETURN_TYPES))

    def final_outputs(self, loop: loop_state.Loop, max_rounds: int) -> tuple[Any, ...]:
        """Return the outputs after the last round."""
        done, spoken = loop_state.restoration(loop, max_rounds), report_language()
        return (
            loop.images.to(devices.intermediate_device()),
            len(done.rounds),
            batch_text(lambda i: round_lines(done, i, spoken), len(loop.states), spoken),
            loop_state.all_pictures(loop, done).to(devices.intermediate_device()),
            *loop.values,
        )


def expand_round(running: Any, close_id: str, *, last: bool, low_confidence: str, outputs: int) -> dict[str, Any]:
    """Return the expansion that runs the loop once more and takes the outputs of the cloned Loop Close.

    Args:
        running: ComfyUI's graph, with the nodes of all rounds so far.
        close_id: the Loop Close that expands.
        last, low_confidence: as in `loop_graph.clone_round`.
        outputs: number of its outputs.
    """
    parent = running.get_parent_node_id(close_id)
    # an inner loop has nodes of the same name in every round of the outer one: only those on Close's level are its own
    level = {i: running.get_node(i) for i in running.all_node_ids() if running.get_parent_node_id(i) == parent}
    prefix = expansion.alloc_prefix()

    def new_id(node_id: str) -> str:
        return loop_graph.clone_id(prefix + loop_graph.local_name(node_id, parent))

    clones = loop_graph.clone_round(
        level,
        close_id,
        expansion.is_output_node,
        last=last,
        low_confidence=low_confidence,
        new_id=new_id,
        drawn_id=running.get_display_node_id,
    )
    expansion.report_errors_on_drawn_nodes(running, loop_graph.CLOSE)
    return {"expand": clones, "result": tuple([new_id(close_id), output] for output in range(outputs))}


def check_rounds(max_rounds: int) -> None:
    """InputError for a limit that the page does not offer."""
    if not 1 <= max_rounds <= io.ROUNDS_LIMIT:
        raise InputError(f"max_rounds must be in 1..{io.ROUNDS_LIMIT}, got {max_rounds}")


def check_host() -> None:
    """InputError where ComfyUI cannot run a second round."""
    if not expansion.keeps_results():
        raise InputError("this ComfyUI runs no loops with --cache-none; start it without, or use AutoDIR Restore")


def refuse_lists() -> None:
    """Raise InputError where ComfyUI runs a node once per item of a list: results would get to the wrong outputs."""
    if expansion.list_index() > 0:
        raise InputError(
            "the loop was given a list, whose items it cannot tell apart; join them to a batch or queue them one by one"
        )
