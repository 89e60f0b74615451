"""What contributors and releases rest on: the hook, the workflows, the forms, the wheel's test."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from .test_house_rules import ROOT

yaml = pytest.importorskip("yaml", reason="pre-commit is not installed, and its PyYAML neither")

GITHUB = ROOT / ".github"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def workflow_commands() -> list[tuple[str, str]]:
    """(workflow, command) of every `run:` step, and cibuildwheel's test command."""
    found = []
    for path in sorted((GITHUB / "workflows").glob("*.yml")):
        for job in load(path)["jobs"].values():
            found += [(path.name, step["run"]) for step in job["steps"] if "run" in step]
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [*found, ("pyproject.toml", config["tool"]["cibuildwheel"]["test-command"])]


def test_the_hook_runs_what_make_lint_runs() -> None:
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local", "a hook from elsewhere may have another version"
    (hook,) = repository["hooks"]
    recipe = subprocess.run(
        ["make", "-n", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert hook["entry"] in recipe.split()  # make says more where it was started by make


def test_pre_commit_accepts_its_configuration() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_workflows_run_scripts_that_exist() -> None:
    commands = workflow_commands()
    named = [(w, s) for w, c in commands for s in re.findall(r"(?:tools|\.ci)/[\w.-]+", c)]
    assert {script for _, script in named} >= {".ci/run", "tools/test-wheel"}
    assert not [(w, s) for w, s in named if not (ROOT / s).is_file()]


def test_workflows_run_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [(w, t) for w, c in workflow_commands() for t in re.findall(r"\bmake (\w+)", c)]
    assert named
    assert not [(w, t) for w, t in named if t not in targets]


@pytest.mark.parametrize(
    "form", sorted(p.name for p in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config")
)
def test_issue_forms_ask_for_something(form: str) -> None:
    """The fields that the code host requires of an issue form, and no identifier twice."""
    content = load(GITHUB / "ISSUE_TEMPLATE" / form)
    assert content["name"]
    assert content["description"]
    identifiers = [field["id"] for field in content["body"] if field["type"] != "markdown"]
    assert identifiers
    assert len(set(identifiers)) == len(identifiers)
    for field in content["body"]:
        assert field["attributes"].get("label") or field["attributes"].get("value")


def test_the_released_version_is_that_of_the_project() -> None:
    printed = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "requirements.py"), "version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert printed == config["project"]["version"]


def test_an_installation_from_the_tree_is_not_taken_for_a_wheel() -> None:
    """tools/test-wheel refuses a guestdbg that is imported from src/."""
    script = (ROOT / "tools" / "test-wheel").read_text()
    (check,) = re.findall(r"-c '([^']+)'", script)
    result = subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False)
    assert result.returncode == 1
