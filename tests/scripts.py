"""Experiments as modules, for tests of what they compute."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def script(path: str) -> ModuleType:
    """Return the module of a script, ``path`` being relative to ``experiments``."""
    folder = Path(__file__).parents[1] / "experiments"
    file = folder / path
    if str(folder) not in sys.path:  # scripts share modules beside them
        sys.path.append(str(folder))
    name = f"experiments_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
