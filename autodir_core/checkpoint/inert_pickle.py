"""The part of `pickle` that `torch.load` needs, unable to run anything: foreign classes become inert stubs.

For `torch.load(..., pickle_module=inert_pickle)`. PyTorch's own `weights_only` refuses the files of PyTorch Lightning,
whose pickles name classes of packages that need not be installed.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

from torch._utils import _rebuild_tensor  # pickles name these functions: PyTorch cannot change them


class Unpickler(pickle.Unpickler):
    """Builds dictionaries and tensors; whatever else a pickle names is an `Inert`."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a global name of the pickle stands for.

        Each call returns a new function or class, so that a pickle that sets attributes on them leaves nothing behind.
        `torch.load` finds storages itself.
        """
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: _rebuild_tensor(storage, offset, shape, stride)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        return type("Inert", (Inert,), {})


class Inert:
    """Stands for an object of a foreign class: takes whatever a pickle does to it and does nothing."""

    def __new__(cls, *arguments: object, **keywords: object) -> Inert:
        return super().__new__(cls)

    def __init__(self, *arguments: object, **keywords: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def __call__(self, *arguments: object, **keywords: object) -> Inert:
        return self

    def append(self, value: object) -> None: ...

    def extend(self, values: object) -> None: ...

    def add(self, value: object) -> None: ...
