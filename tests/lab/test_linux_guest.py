"""Linux as a guest of the real KVM: the command that boots it here, run in the lab."""

import pytest

from guestdbg.lab import Lab, LabError
from guestdbg.lab.guests.linux import linux_guest

PROMPT = "guest# "


@pytest.mark.slow
@pytest.mark.parametrize("vcpus", [1])
def test_to_a_shell_and_powered_off(lab: Lab, vcpus: int) -> None:
    """`quiet`, because each byte on the UART is an exit to Python on an emulated processor."""
    try:
        guest = linux_guest()
    except LabError as error:
        pytest.skip(f"no Linux guest: {error}")
    typed = ("uname -r", "nproc", "cat /proc/interrupts", "poweroff -f")
    answers = [word for line in typed for word in ("--answer", PROMPT, f"{line}\\n")]
    result = lab.run(
        [
            *("guestdbg", "run", "/guest/vmlinuz", "--initrd", "/guest/initrd"),
            *("--provider", "host", "--memory", "256M", "--vcpus", str(vcpus)),
            *("--bootargs", "console=ttyAMA0 quiet", "--timeout", "240", *answers),
        ],
        files={"/guest/vmlinuz": guest.kernel, "/guest/initrd": guest.initrd},
        timeout=280,
    )
    text = result.stdout.decode(errors="replace").replace("\r\n", "\n").replace("\x1b[6n", "")
    assert result.status == 0, (text, result.stderr)
    assert f"{PROMPT}uname -r\n{guest.release}\n" in text
    assert f"{PROMPT}nproc\n{vcpus}\n" in text
    assert "arch_timer" in text
    assert b"the guest powered off" in result.stderr
