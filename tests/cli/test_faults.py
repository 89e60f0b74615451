"""`guestdbg faults`, as a user types it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from guestdbg.faults import FaultCampaign
from tests.cli.guests import guestdbg, problem

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

HERE = ("-j", "0")
GUEST = "examples/secure-boot.elf"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults") / "made"


def test_the_first_example_finds_the_places(made: Path) -> None:
    text = guestdbg("faults", "--help").stdout.split("Examples:")[1]
    text = re.sub(r"\s*\\\n\s*", " ", text)
    example, hardened, *_ = re.findall(r"guestdbg faults .*", text)
    page = made.with_suffix(".html")
    arguments = (*shlex.split(example)[1:], "-o", str(made), "--page", str(page), *HERE)
    result = guestdbg(*arguments)
    assert result.returncode == 3, result.stderr
    lines = result.stdout.replace(str(made), "made").splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["1", ".", ".", ".", "11", "return", "0;"] in rows
    assert "success:\n  case 6: skip at boot+0x18 (plain.c:18): bl" in result.stdout
    assert f"guestdbg campaign replay {made} 6" in result.stdout
    assert "access at" not in result.stderr
    assert f"{page}: 29 cases" in result.stderr
    assert "return 0;" in page.read_text()
    assert "--model load-flip" in hardened
    result = guestdbg(*arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert "exists already" in result.stderr


def test_it_is_a_campaign(made: Path) -> None:
    shown = guestdbg("campaign", "show", str(made), "--source", "examples")
    assert shown.returncode == 0
    assert "return 0;" in shown.stdout
    case = FaultCampaign(made).found("success")[0].case
    one = guestdbg("campaign", "show", str(made), str(case))
    assert "outcome: success" in one.stdout
    assert "instruction: bl" in one.stdout
    again = guestdbg("campaign", "replay", str(made), str(case))
    assert again.returncode == 0
    assert "success (a failure)" in again.stderr


def test_samples_of_several_models(tmp_path: Path) -> None:
    rest = ("--from", "boot", "--function", "boot", "--end", "reject", *HERE)
    models = ("--model", "register-flip:written", "--model", "memory-flip:image_signature,4")
    chosen = ("--samples", "20", "--seed", "7", "--compare", "x0", "--no-exceptions")
    result = guestdbg("faults", GUEST, "-o", str(tmp_path / "c"), *rest, *models, *chosen)
    assert result.returncode in (0, 3), result.stderr
    made = FaultCampaign(tmp_path / "c")
    assert made.outcomes().total() == 20
    assert "chosen with seed 7" in made.manifest.about["faults"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--from", "start_image"), "does not come to 'start_image'"),
        (("--page", "README.md"), "exists already"),
    ],
)
def test_what_cannot_be(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    assert text in problem("faults", GUEST, "-o", str(tmp_path / "c"), *arguments)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--model", "skipp"), "is no fault model; there are skip[:COUNT], register-flip["),
        (("--instructions", "5"), "must be like 1000:2000"),
    ],
)
def test_a_wrong_command_line(arguments: tuple[str, ...], text: str) -> None:
    result = guestdbg("faults", GUEST, *arguments)
    assert result.returncode == 2
    assert text in " ".join(result.stderr.split())
