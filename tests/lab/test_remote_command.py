"""Commands in the real lab: input and output arrive unchanged, and nothing hangs."""

import hashlib
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from guestdbg.lab import CommandTimeout, Lab, LabError, Live
from guestdbg.lab.image.cpio import Cpio
from tests.cli.guests import GUESTDBG


def python(lab: Lab, program: str, **options: object) -> tuple[int, bytes, bytes]:
    result = lab.run(["python3", "-c", program], timeout=200, **options)  # type: ignore[arg-type]
    return result.status, result.stdout, result.stderr


def test_what_the_lab_is(lab: Lab) -> None:
    assert lab.description["kvm"] is True
    assert lab.description["machine"] == "aarch64"
    assert lab.description["kernel"].endswith("-cloud-arm64")


def test_every_byte_arrives_and_the_two_outputs_stay_apart(lab: Lab) -> None:
    program = "import os; b = bytes(range(256)) * 3; os.write(1, b); os.write(2, b[::-1])"
    data = bytes(range(256)) * 3
    assert python(lab, program) == (0, data, data[::-1])


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 1", 1), ("exit 255", 255), ("kill -9 $$", 137)]
)
def test_the_exit_status(lab: Lab, script: str, status: int) -> None:
    assert lab.run(["sh", "-c", script], timeout=200).status == status


def test_words_environment_and_directory(lab: Lab) -> None:
    program = "import os, sys; print(sys.argv[1:], os.environ['WISH'], os.getcwd())"
    words = ["", "a b", "'\"", "$HOME", "\u00e9", "-x"]
    result = lab.run(
        ["python3", "-c", program, *words], env={"WISH": "w\n"}, cwd="/some/where", timeout=200
    )
    assert result.stdout.decode() == f"{words} w\n /some/where\n"


def test_megabytes_of_output(lab: Lab) -> None:
    program = (
        "import os, random; r = random.Random(5)\n"
        "for _ in range(128): os.write(1, r.randbytes(65536)) == 65536 or exit(3)"
    )
    status, out, err = python(lab, program)
    assert (status, err, len(out)) == (0, b"", 8 << 20)
    expected = random.Random(5)
    assert out == b"".join(expected.randbytes(65536) for _ in range(128))


def test_megabytes_of_input(lab: Lab) -> None:
    data = random.Random(6).randbytes(3_000_001)
    result = lab.run(["cat"], stdin=data, timeout=200)
    assert (result.status, result.stderr) == (0, b"")
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_no_input_is_the_end_of_input(lab: Lab) -> None:
    assert lab.run(["cat"], timeout=200).stdout == b""


@pytest.mark.parametrize("script", ["exit 4", "exec <&-; sleep 0.2; exit 4", "sleep 0.2; exit 4"])
def test_input_that_is_not_read(lab: Lab, script: str) -> None:
    assert lab.run(["sh", "-c", script], stdin=bytes(5 << 20), timeout=200).status == 4
    assert lab.run(["cat"], stdin=b"next", timeout=200).stdout == b"next"


def test_files_in_and_results_out(lab: Lab, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\ncat data/in >out.bin; mkdir -p deep/er; echo 1 >deep/er/x.json\n")
    tool.chmod(0o755)
    data = random.Random(7).randbytes(200_001)
    result = lab.run(
        ["./tool"],
        files={"tool": tool, "data/in": data},
        results=["out.bin", "**/*.json", "absent"],
        cwd="/exchange",
        timeout=200,
    )
    assert result.status == 0, result.stderr
    assert result.files == {"out.bin": data, "deep/er/x.json": b"1\n"}


def test_an_empty_file_both_ways(lab: Lab) -> None:
    result = lab.run(["cp", "a", "b"], files={"a": b""}, results=["b"], cwd="/empty", timeout=200)
    assert result.files == {"b": b""}


def test_what_the_kernel_says_is_kept_apart(lab: Lab) -> None:
    script = "echo out; echo '<0>guestdbg says this' >/dev/kmsg; echo err >&2"
    result = lab.run(["sh", "-c", script], timeout=200)
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert "guestdbg says this" in lab.console


def test_a_command_that_hangs_is_killed(lab: Lab) -> None:
    script = "trap '' TERM INT HUP; echo before; echo too >&2; while :; do sleep 1; done"
    with pytest.raises(CommandTimeout, match=r"within 1 seconds and was killed") as caught:
        lab.run(["sh", "-c", script], timeout=1)
    assert (caught.value.stdout, caught.value.stderr) == (b"before\n", b"too\n")
    assert lab.running
    assert lab.run(["sh", "-c", "echo on"], timeout=200).stdout == b"on\n"


def test_a_command_that_writes_for_ever_is_killed(lab: Lab) -> None:
    with pytest.raises(CommandTimeout):
        lab.run(["busybox", "yes"], timeout=0.5)
    assert lab.run(["sh", "-c", "echo on"], timeout=200).stdout == b"on\n"


def test_what_a_command_leaves_running_does_not_hold_it(lab: Lab) -> None:
    result = lab.run(["sh", "-c", "sleep 1000 & echo started"], timeout=200)
    assert result.stdout == b"started\n"
    # Outside the session it keeps the output open: the lab waits a little, then continues.
    result = lab.run(
        ["sh", "-c", "busybox setsid sleep 1000 & sleep 0.5; echo started"], timeout=200
    )
    assert result.stdout == b"started\n"


def test_a_missing_program(lab: Lab) -> None:
    with pytest.raises(LabError, match="in the lab: no-such: No such file or directory"):
        lab.run(["no-such"], timeout=200)
    with pytest.raises(LabError, match="in the lab: /data: Permission denied"):
        lab.run(["/data"], files={"/data": b"data"}, timeout=200)
    assert lab.run(["cat"], timeout=200).status == 0


def test_a_file_that_cannot_be_put_there(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"in the lab: .*/proc/nothing"):
        lab.run(["cat"], files={"/proc/nothing": b"x"}, timeout=200)
    assert lab.run(["cat"], timeout=200).status == 0


@pytest.mark.parametrize(
    ("argv", "options", "message"),
    [
        (["cat", "a\0b"], {}, "null byte"),
        (["cat"], {"env": {"A=B": "c"}}, "environment variable name"),
        (["cat"], {"cwd": "/proc/nowhere"}, "No such file"),
        (["cat"], {"cwd": "/proc/version"}, "File exists|Not a directory"),
        (["cat"], {"files": {"a\0b": b""}}, "null byte"),
        (["cat", "\ud800"], {}, "surrogates not allowed"),
        (["cat", "x" * 3_000_000], {}, "Argument list too long"),
    ],
)
def test_what_no_system_could_run(
    lab: Lab, argv: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(LabError, match=message):
        lab.run(argv, timeout=200, **options)
    assert lab.run(["cat"], timeout=200, results=["a\0b", "/proc/nothing/*"]).files == {}


def test_a_command_that_takes_all_memory(lab: Lab) -> None:
    program = "b = []\nwhile True: b.append(bytearray(b'x') * (64 << 20))"
    status, _, err = python(lab, program)
    assert status == 137 or b"MemoryError" in err
    assert lab.run(["echo", "on"], timeout=200).stdout == b"on\n"


def test_nothing_to_run(lab: Lab) -> None:
    with pytest.raises(LabError, match="no command"):
        lab.run([])
    with pytest.raises(TypeError, match="not one string"):
        lab.run("caps")


def test_an_interrupt_leaves_the_lab_usable(lab: Lab) -> None:
    def interrupted(_: bytes) -> None:
        raise KeyboardInterrupt

    live = Live(stdout=interrupted, stderr=interrupted)
    with pytest.raises(KeyboardInterrupt):
        lab.run(["sh", "-c", "echo a; echo b; sleep 1000"], live=live, timeout=200)
    assert lab.run(["cat"], stdin=b"on", timeout=200).stdout == b"on"


def test_a_terminal(lab: Lab) -> None:
    seen = bytearray()
    live = Live(stdout=seen.extend, stderr=seen.extend, terminal=(33, 99))
    script = "tty >&2; stty size; test -t 0 && test -t 1 && test -t 2 && exit 6"
    result = lab.run(["sh", "-c", script], live=live, timeout=200)
    assert result.status == 6
    assert bytes(seen).replace(b"\r\n", b"\n") == b"/dev/pts/0\n33 99\n"


def test_busybox_unpacks_what_our_archive_writer_packs(lab: Lab) -> None:
    archive = Cpio()
    generator = random.Random(8)
    expected = {}
    for number in range(60):
        depth = generator.randrange(4)
        path = "".join(f"d{generator.randrange(3)}/" for _ in range(depth)) + f"f{number}"
        expected[f"out/{path}"] = generator.randbytes(generator.randrange(5000))
        archive.file(path, expected[f"out/{path}"])
    result = lab.run(
        ["sh", "-c", "mkdir out; cd out; busybox cpio -idm <../archive"],
        files={"archive": archive.finish()},
        results=["out/**"],
        cwd="/unpack",
        timeout=200,
    )
    assert result.status == 0, result.stderr
    assert result.files == expected


def test_the_real_kvm_answers(lab: Lab) -> None:
    """guestdbg with its host provider, and the values that this kernel's KVM reports."""
    result = lab.run(["guestdbg", "caps", "--json"], timeout=200)
    assert result.status == 0, result.stderr
    assert b'"provider": "host"' in result.stdout
    assert b'"KVM_CAP_GUEST_DEBUG_HW_BPS": 6' in result.stdout
    assert b'"KVM_CAP_GUEST_DEBUG_HW_WPS": 4' in result.stdout
    assert b'"KVM_CAP_SET_GUEST_DEBUG2": 196611' in result.stdout


def test_the_version_is_the_one_outside(lab: Lab) -> None:
    ours = subprocess.run([*GUESTDBG, "--version"], capture_output=True, check=True)
    assert lab.run(["guestdbg", "--version"], timeout=200).stdout == ours.stdout
