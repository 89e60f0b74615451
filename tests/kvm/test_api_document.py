"""docs/kvm-api.md says what is so."""

import re
from pathlib import Path

from guestdbg import kvm
from guestdbg.kvm import constants, exits, interface
from guestdbg.kvm.debug_state import DebugState

DOCUMENT = (Path(__file__).parents[2] / "docs" / "kvm-api.md").read_text()


def test_its_program_runs() -> None:
    [program] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    exec(compile(program, "docs/kvm-api.md", "exec"), {})


def test_it_tells_every_call_exit_and_hidden_state() -> None:
    for cls in (interface.Kvm, interface.Vm, interface.Vcpu):
        for name in cls.__abstractmethods__:
            assert f"`{name}" in DOCUMENT, f"{cls.__name__}.{name}"
    for name in exits.__dict__:
        if name.startswith("Exit") and name != "Exit":
            assert f"`{name}" in DOCUMENT, name
    for name in DebugState.__dataclass_fields__:
        assert f"`{name}`" in DOCUMENT, name
    for name in kvm.__all__:
        if name.startswith("Supports"):
            assert f"`{name}`" in DOCUMENT, name


def test_every_constant_it_names_exists() -> None:
    for name in re.findall(r"\bKVM_(?:CAP|GUESTDBG|EXIT|MP_STATE|MEM|ARM_VCPU)_\w+", DOCUMENT):
        assert hasattr(constants, name.rstrip("_")) or name.endswith("_"), name
