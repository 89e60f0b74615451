"""Linux as a guest of the real KVM: the command that boots it here, run in the lab."""

import hashlib
import random
import re
from pathlib import Path

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
            *("--show", "tasks,modules"),
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
    # There is no drgn in the lab: what the kernel did is read by its BTF.
    assert re.search(rb"^ *2 +2 +0 S +0 0xffff[0-9a-f]{12} \[kthreadd\]$", result.stderr, re.M)
    assert re.search(rb"^virtio_net +57344 +0 live +0xffff[0-9a-f]{12}$", result.stderr, re.M)


@pytest.mark.slow
def test_points_a_disk_and_the_network(lab: Lab, tmp_path: Path) -> None:
    """Breakpoints and watches at names, moved by KASLR; what the host provider's devices do."""
    try:
        guest = linux_guest()
    except LabError as error:
        pytest.skip(f"no Linux guest: {error}")
    contents = random.Random(3).randbytes(1 << 20)
    disk = tmp_path / "disk.img"
    disk.write_bytes(contents)
    typed = (
        "uname -r",
        "md5sum /dev/vda",
        "echo changed > /dev/vda; sync; head -c 7 /dev/vda",
        "ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ping -c 1 10.0.2.2",
        "wget -q -O - http://10.0.2.2:1/",
        "poweroff -f",
    )
    answers = [word for line in typed for word in ("--answer", PROMPT, f"{line}\\n")]
    result = lab.run(
        [
            *("guestdbg", "run", "/guest/vmlinuz", "--initrd", "/guest/initrd"),
            *("--provider", "host", "--memory", "256M", "--seed", "5"),
            *("--drive", "/guest/disk.img,overlay", "--net", "user"),
            *("--break", "__arm64_sys_newuname", "--watch", "system_state,4", "--backtrace"),
            *("--bootargs", "console=ttyAMA0 quiet", "--timeout", "280", *answers),
        ],
        files={
            "/guest/vmlinuz": guest.kernel,
            "/guest/initrd": guest.initrd,
            "/guest/disk.img": disk,
        },
        timeout=300,
    )
    text = result.stdout.decode(errors="replace").replace("\r\n", "\n").replace("\x1b[6n", "")
    errors = result.stderr.decode()
    assert result.status == 0, (text, errors)
    assert hashlib.md5(contents).hexdigest() in text
    assert "changed" in text.partition("head -c 7 /dev/vda\n")[2][:10]
    assert "1 packets transmitted, 1 packets received" in text
    assert "Connection refused" in text
    hits = text + errors
    assert "break __arm64_sys_newuname" in hits
    assert "called by ret_from_fork" in hits, "kernel_init sets system_state"
    assert re.search(r"^ +4 +4  0x[0-9a-f]{16} +4  watch system_state,4$", errors, re.M), errors
    assert "the guest powered off" in errors
