"""No public function or class shadows a module: `import a.b as b` and `from a import b` mean the same thing."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

from autodir_core.errors import PackageError

PACKAGES = ("autodir_core", "autodir_lab", "autodir_client")


def packages_below(package: ModuleType) -> Iterator[ModuleType]:
    """Yield a package and all packages inside it."""
    yield package
    for entry in pkgutil.iter_modules(package.__path__):
        if entry.ispkg:
            yield from packages_below(importlib.import_module(f"{package.__name__}.{entry.name}"))


@pytest.mark.parametrize("root", PACKAGES)
def test_no_name_shadows_a_module(root):
    for package in packages_below(importlib.import_module(root)):
        modules = {entry.name for entry in pkgutil.iter_modules(package.__path__)} - {"__main__"}
        public = set(getattr(package, "__all__", ()))
        for name in public:
            getattr(package, name)  # some packages import their public names on first use
        for name in sorted(modules):
            try:
                module = importlib.import_module(f"{package.__name__}.{name}")
            except PackageError:  # it needs a package of an extra that is not installed
                continue
            assert getattr(package, name) is module, f"something shadows the module {module.__name__}"
        assert not modules & public, f"{package.__name__}.__all__ has names of modules"
