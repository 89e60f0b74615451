"""Linux as a guest of the real KVM: the command that boots it here, run in the lab."""

import hashlib
import random
import re
from pathlib import Path

import pytest

from guestdbg.lab import Lab, LabError
from guestdbg.lab.guests.linux import linux_guest
from tests.linux.workers import NEEDS_GCC, build

PROMPT = "guest# "


@pytest.mark.slow
@NEEDS_GCC
def test_the_command_with_points_a_disk_and_the_network(lab: Lab, tmp_path: Path) -> None:
    """Points in processes, what the kernel did, and what the host provider's devices do.

    `quiet`, because each byte on the UART is an exit to Python on an emulated processor.
    """
    try:
        guest = linux_guest()
    except LabError as error:
        pytest.skip(f"no Linux guest: {error}")
    _, archive = build(tmp_path)
    contents = random.Random(3).randbytes(1 << 20)
    disk = tmp_path / "disk.img"
    disk.write_bytes(contents)
    typed = (
        "uname -r",
        "/worker 3 & sleep 0.1; kill -USR2 $!; sleep 0.5",
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
            *("--break", "__arm64_sys_rt_sigtimedwait", "--task", "worker", "--backtrace"),
            *("--exec", "/worker:work if x0 > 2", "--follow-fork", "both"),
            *("--show", "tasks,modules,dmesg,mounts,interrupts"),
            *("--bootargs", "console=ttyAMA0 quiet", "--timeout", "280", *answers),
        ],
        files={
            "/guest/vmlinuz": guest.kernel,
            "/guest/initrd": guest.initrd.read_bytes() + archive,
            "/guest/disk.img": disk,
        },
        timeout=300,
    )
    text = result.stdout.decode(errors="replace").replace("\r\n", "\n").replace("\x1b[6n", "")
    errors = result.stderr.decode()
    assert result.status == 0, (text, errors)
    assert f"{PROMPT}uname -r\n{guest.release}\n" in text
    assert hashlib.md5(contents).hexdigest() in text
    assert "changed" in text.partition("head -c 7 /dev/vda\n")[2][:10]
    assert "1 packets transmitted, 1 packets received" in text
    assert "Connection refused" in text
    hits = text + errors
    assert re.search(r"^#1 break __arm64_sys_rt_sigtimedwait .* task worker \(\d+\)$", hits, re.M)
    assert "called by el0t_64_sync" in hits
    reached = re.findall(r"^#\d break /worker:work .* task worker \((\d+)\)$", hits, re.M)
    assert len(set(reached)) == 2, "a child, and then its parent"
    assert re.search(r"^ +2 .* exec /worker:work if x0 > 2$", errors, re.M)
    assert "the guest powered off" in errors
    # There is no drgn in the lab: what the kernel did is read by its BTF.
    shown = re.split(r"^-- (\w+)\n", errors.partition("\n-- tasks\n")[2], flags=re.M)
    tasks, modules, log, mounts, interrupts = shown[0], shown[2], shown[4], shown[6], shown[8]
    assert re.search(r"^ *2 +2 +0 S +0 0xffff[0-9a-f]{12} \[kthreadd\]$", tasks, re.M)
    assert re.search(r"^virtio_net +57344 +0 live +0xffff[0-9a-f]{12}$", modules, re.M)
    assert "Machine model: linux,dummy-virt" in log
    assert re.search(r"^rootfs +/ +rootfs", mounts, re.M), mounts
    assert "arch_timer" in interrupts
