"""Networks whose values overflow in half precision: what is not finite is computed again in a wider one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from torch import Tensor

from ..devices import wider_dtypes
from ..errors import AutoDIRError, InputError
from .build import Networks, weight_dtype

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


def call_finite(
    networks: Networks,
    name: str,
    stage: str,
    call: Callable[[], Result],
    tensors: Callable[[Result], Sequence[Tensor]] = lambda result: [cast(Tensor, result)],
    *,
    inputs: Sequence[Tensor] = (),
) -> Result:
    """Return what a network gives, finite: where it is not, the network computes again in wider precisions.

    The first precision in which it was finite is the network's from then on; a warning says so.

    Args:
        networks: all of a model.
        name: the network that works; it is on its device meanwhile.
        stage: what it is used for, as errors call it.
        call: what is done with it.
        tensors: the tensors of a result that must be finite; the result itself where it is one.
        inputs: what it works on; InputError where they are to blame.

    Raises AutoDIRError where not even float32 gives finite values.
    """
    network = networks.get_submodule(name)
    own = weight_dtype(network)
    first = networks.safe_dtypes.get(name, own)
    for dtype in (first, *wider_dtypes(first, networks.execution_device)):
        if dtype != first:
            text = "%s overflows in the stage %r, which gives no picture: the %s network computes in %s from now on"
            logger.warning(text, dtype_name(networks.safe_dtypes.get(name, own)), stage, name, dtype_name(dtype))
            networks.safe_dtypes[name] = dtype
        with networks.on_device(name), in_precision(networks, name, dtype):
            result = call()
        if all(is_finite(tensor) for tensor in tensors(result)):
            return result
        if not all(is_finite(tensor) for tensor in inputs):
            raise InputError(f"the stage {stage!r} was given values that are not finite (nan or inf)")
    raise AutoDIRError(
        f"the stage {stage!r} gave values that are not finite (nan or inf) in float32; take another weights file"
    )


@contextmanager
def in_precision(networks: Networks, name: str, dtype: torch.dtype) -> Iterator[None]:
    """Have a network compute in another precision within the block; its weights are the same bits afterwards."""
    network = networks.get_submodule(name)
    if weight_dtype(network) == dtype:
        yield
        return
    before = [(parameter, parameter.data) for parameter in network.parameters()]
    try:
        for parameter, data in before:
            parameter.data = data.to(dtype)
        yield
    finally:
        for parameter, data in before:
            parameter.data = data


def is_finite(tensor: Tensor) -> bool:
    """Return whether all values are finite, by the extremes: no copy of a large picture."""
    return not tensor.numel() or bool(torch.stack(tensor.aminmax()).isfinite().all())


def dtype_name(dtype: torch.dtype) -> str:
    """Return a name such as "float16"."""
    return str(dtype).removeprefix("torch.")
