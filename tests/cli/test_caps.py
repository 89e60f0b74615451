"""`guestdbg caps`."""

import json

from tests.cli.guests import guestdbg


def test_as_json_with_what_a_real_kernel_answers() -> None:
    result = guestdbg("caps", "--json")
    assert result.returncode == 0
    document = json.loads(result.stdout)
    assert (document["provider"], document["api_version"]) == ("soft", 12)
    found = document["capabilities"]
    assert found["KVM_CAP_SET_GUEST_DEBUG"] == 1
    assert found["KVM_CAP_GUEST_DEBUG_HW_BPS"] == 6
    assert found["KVM_CAP_GUEST_DEBUG_HW_WPS"] == 4
    assert found["KVM_CAP_SET_GUEST_DEBUG2"] == 0x30003
    assert found["KVM_CAP_ARM_EL1_32BIT"] == 0


def test_as_text() -> None:
    result = guestdbg("caps")
    assert result.returncode == 0
    line = next(x for x in result.stdout.splitlines() if "KVM_CAP_GUEST_DEBUG_HW_WPS" in x)
    assert line.split() == ["KVM_CAP_GUEST_DEBUG_HW_WPS", "120", "4", "watchpoint", "registers"]
    assert "KVM_CAP_ARM_SVE" not in result.stdout
    assert "KVM_CAP_ARM_SVE" in guestdbg("caps", "--all").stdout


def test_it_fits_a_terminal_of_eighty_columns() -> None:
    assert [line for line in guestdbg("caps").stdout.splitlines() if len(line) > 80] == []
