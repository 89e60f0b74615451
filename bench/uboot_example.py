"""examples/uboot.py as a module: it finds U-Boot's commands, which has no symbols."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

EXAMPLE = Path(__file__).parents[1] / "examples" / "uboot.py"


@cache
def uboot_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("examples_uboot", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module
