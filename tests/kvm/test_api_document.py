"""docs/kvm-api.md says what is so."""

import re
from pathlib import Path

import pytest

from guestdbg import kvm
from guestdbg.kvm import constants, exits, interface
from guestdbg.kvm.debug_state import DebugState

DOCUMENT = (Path(__file__).parents[2] / "docs" / "kvm-api.md").read_text()


def test_its_programs_run() -> None:
    programs = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert len(programs) == 2
    for program in programs:
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


#: Control flags that arm64 does not have, in a table of the document.
OF_OTHER_ARCHITECTURES = {
    "KVM_GUESTDBG_INJECT_DB": 18,
    "KVM_GUESTDBG_INJECT_BP": 19,
    "KVM_GUESTDBG_BLOCKIRQ": 20,
    "KVM_GUESTDBG_EXIT_PENDING": 28,
}


@pytest.mark.parametrize("name", OF_OTHER_ARCHITECTURES)
def test_flags_of_other_architectures_are_not_valid(name: str) -> None:
    bit = OF_OTHER_ARCHITECTURES[name]
    assert f"| `{name}` | 1 << {bit} |" in DOCUMENT
    assert not constants.KVM_GUESTDBG_VALID_MASK >> bit & 1


def test_every_constant_it_names_exists() -> None:
    others = {*OF_OTHER_ARCHITECTURES, "KVM_GUESTDBG_USE_HW_BP"}
    for name in re.findall(r"\bKVM_(?:CAP|GUESTDBG|EXIT|MP_STATE|MEM|ARM_VCPU)_\w+", DOCUMENT):
        if name in others:
            continue
        assert hasattr(constants, name.rstrip("_")) or name.endswith("_"), name
