"""Prints out of pyproject.toml: `requirements.py build`, an extra's name, or `version`.

pip can install an extra only together with the project, which would build it once more.
"""

import sys
import tomllib
from pathlib import Path


def requirements(kind: str) -> list[str]:
    """The version for "version", the build requirements for "build", else those of an extra."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    if kind == "version":
        return [project["project"]["version"]]
    if kind == "build":
        return list(project["build-system"]["requires"])
    extras = project["project"]["optional-dependencies"]
    if kind not in extras:
        raise SystemExit(
            f"no extra called {kind!r} in pyproject.toml; there is: {', '.join(extras)}"
        )
    return list(extras[kind])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: requirements.py build | version | EXTRA")
    print("\n".join(requirements(sys.argv[1])))
