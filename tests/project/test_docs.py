"""The documentation site builds without a warning, is complete, and names only what exists."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: What a reader is shown: the pages, and the documents at the root and beside the examples.
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "examples" / "README.md"]
#: Their `__all__` is public, and documented on the site.
PUBLIC = [
    *("debugger", "linux", "history", "trace", "kvm", "machine", "gdb", "check", "lab"),
    *("workers", "tables", "report", "campaign", "guest_campaign", "faults", "fuzz"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it; a warning is an error."""
    for package in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(package, reason=f"no {package}: tools/setup-docs installs it")
    directory = tmp_path_factory.mktemp("docs")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky"),
            *("--quiet", "-b", "html", "-d", directory / "doctrees", DOCS, directory / "html"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return directory / "html"


def test_the_site_builds_without_a_warning(site: Path) -> None:
    pages = {page.stem for page in DOCS.glob("*.md")} - {"README"}
    assert pages <= {page.stem for page in site.glob("*.html")}


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_in_the_reference(site: Path, package: str) -> None:
    page = (site / f"api-{package}.html").read_text()
    module = importlib.import_module(f"guestdbg.{package}")
    missing = [n for n in module.__all__ if f'id="guestdbg.{package}.{n}"' not in page]
    assert not missing


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """It works without a network: styles, scripts and images are its own."""
    for page in site.glob("*.html"):
        loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"([^\"]*)\"", page.read_text())
        assert not [address for address in loaded if "//" in address], page.name


def toctrees() -> list[str]:
    """The pages of the site in the order in which its index lists them."""
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(":")]


def test_the_index_of_a_code_host_lists_the_same_pages() -> None:
    links = re.findall(r"^- \[[^\]]*\]\(([^)]*)\)", (DOCS / "README.md").read_text(), re.MULTILINE)
    included = {"../CHANGELOG.md": "changelog", "../examples/README.md": "example-guests"}
    included |= {"../CONTRIBUTING.md": "contributing", "../SECURITY.md": "security"}
    assert [included.get(link, link.removesuffix(".md")) for link in links] == toctrees()


def named(pattern: str) -> Iterator[tuple[str, str]]:
    """(place, match) of a pattern in all pages."""
    for page in PAGES:
        # Recipes name what they add; test_recipes.py applies them.
        text = page.read_text().partition("\n## Recipes\n")[0]
        for number, line in enumerate(text.splitlines(), 1):
            for match in re.findall(pattern, line):
                yield f"{page.relative_to(ROOT)}:{number}", match


def exists(path: str) -> bool:
    """A path from the root, from the package, or the end of one; `*` may be in it."""
    top = path.partition("/")[0]
    if top in ("src", "tests", "tools", "docs", "bench", "examples"):
        return any(ROOT.glob(path.rstrip("/")))
    return any(any((ROOT / top).rglob(path)) for top in ("src", "tests", "tools", "bench"))


def recipes() -> set[str]:
    """The files that the recipes in CONTRIBUTING.md add."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return set(re.findall(r"^--- /dev/null\n\+\+\+ b/(\S+)", text, re.MULTILINE))


def test_every_path_that_a_page_names_exists() -> None:
    directories = r"(?<![\w./<-])(?:src|tests|tools|docs|bench|examples)/[\w./*-]*[\w*/]"
    sources = r"(?<![\w./<-])[\w*/-]+\.(?:pyx|pxd|pyi|py)\b"
    # What a build makes; an experiment of the reader's own; placeholders; the new files of recipes.
    elsewhere = re.compile(r"^docs/build|^experiment\.py$|/NAME$|^/?[ab]/")
    created = recipes()
    missing = [
        f"{place}: {path}"
        for place, path in [*named(directories), *named(sources)]
        if not exists(path) and not elsewhere.search(path) and path not in created
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # some are named as such
def test_every_name_of_guestdbg_that_a_page_names_exists() -> None:
    missing = []
    created = {
        path.removeprefix("src/").removesuffix(".py").replace("/", ".") for path in recipes()
    }
    for place, name in named(r"(?<![\w./-])guestdbg(?:\.[A-Za-z_]\w*)+"):
        if name in created:
            continue
        parts = name.split(".")
        value: object = importlib.import_module(parts[0])
        for end, part in enumerate(parts[1:], 2):
            if not hasattr(value, part):
                try:
                    value = importlib.import_module(".".join(parts[:end]))
                except ImportError:
                    missing.append(f"{place}: {name}")
                    break
            else:
                value = getattr(value, part)
    assert not missing, "\n".join(missing)


def test_every_deprecated_name_is_listed() -> None:
    page = (DOCS / "stability.md").read_text()
    for source in (ROOT / "src").rglob("*.py"):
        for table in re.findall(r"^__getattr__ = .*\{(.*)\}", source.read_text(), re.MULTILINE):
            for old, new in re.findall(r'"(\w+)": "(\w+)"', table):
                assert re.search(rf"\.{old}` \| `[\w.]+\.{new}`", page), f"{source}: {old}"


def test_external_links_are_well_formed() -> None:
    """Followed by `make docs DOCS_OPTIONS=--linkcheck` only: the tests need no network."""
    addresses = list(named(r"\]\((\w+://[^)\s]*)\)|<(\w+://[^>\s]*)>"))
    assert addresses
    wrong = [
        (place, address)
        for place, pair in addresses
        for address in pair
        if address and not re.match(r"https://[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}(/|$)", address)
    ]
    assert not wrong
