"""Sphinx: the documentation site, from the pages in this directory and the docstrings.

`make docs` builds it into build/docs, with every warning as an error and every reference checked.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

import guestdbg

ROOT = Path(__file__).parents[1]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

project = "guestdbg"
author = "the authors of guestdbg"
version = release = _PROJECT["version"]
copyright = f"{author}, MIT licence"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
# README.md is the index on a code host; index.md includes it.
exclude_patterns = ["README.md"]
nitpicky = True

# -- pages -----------------------------------------------------------------------------------------

myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]
# Blocks without a language are command lines and their output.
highlight_language = "none"
default_role = "literal"
# Literal blocks of docstrings are Python as a rule; a table in one is not.
# Classes of several packages have one name (Case, Outcome): a name alone may be either.
suppress_warnings = ["misc.highlighting_failure", "ref.python"]

# -- docstrings ------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

#: The packages whose `__all__` is public, each with the page that documents it.
PUBLIC = [
    "guestdbg",
    "guestdbg.debugger",
    "guestdbg.linux",
    "guestdbg.kvm",
    "guestdbg.machine",
    "guestdbg.gdb",
    "guestdbg.check",
    "guestdbg.lab",
    "guestdbg.workers",
]

# -- the site --------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"guestdbg {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
templates_path: list[str] = []


def _import_all() -> None:
    """Import every module, so that what annotations name is known: see ``_find``."""
    for found in pkgutil.walk_packages(guestdbg.__path__, "guestdbg."):
        if found.name.rpartition(".")[2] != "__main__":
            with contextlib.suppress(ImportError):  # of what is optional
                importlib.import_module(found.name)


def _public_names() -> dict[int, str]:
    """The public name of each class and function, by the identity of the object."""
    names: dict[int, str] = {}
    for package in PUBLIC:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                names[id(value)] = f"{package}.{name}"
    return names


@cache  # there are thousands of references, and hundreds of modules
def _find(target: str, package: str) -> object | None:
    """The object of a dotted name, or of a bare one in any module of the package."""
    module, _, name = target.rpartition(".")
    if not module:
        # Names that serve annotations only are not in the module that has the annotation.
        for inside in (package, "guestdbg"):
            for known, each in list(sys.modules.items()):
                if f"{known}.".startswith(f"{inside}.") and name in vars(each):
                    return vars(each)[name]
        return None
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def _resolve(app: Sphinx, env: Any, node: Any, contnode: nodes.Element) -> nodes.Element | None:
    """Resolve the names that annotations have, which are those of the defining modules.

    A public class is linked by its public name. What exists and is not on the site (the standard
    library, which is not fetched; internal classes) is shown without a link. What does not exist
    stays a warning.
    """
    if node.get("refdomain") != "py":
        return None
    value = _find(node["reftarget"], node.get("py:module") or "guestdbg")
    if value is None:
        return None
    objects = env.domains.python_domain.objects
    entry = objects.get(app.guestdbg_names.get(id(value), ""))  # type: ignore[attr-defined]
    if entry is None:
        return contnode
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode)


def _before_napoleon(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Keep Napoleon from reading two things out of a docstring that are not there."""
    if what in _VALUES and lines:
        # "The bit range as the manual writes it: [31:26]" has no type before the colon.
        lines[0] = lines[0].replace(":", _COLON)
    if what == "module":
        lines[:] = _LISTS.sub(_as_literal, "\n".join(lines)).split("\n")
    for number, line in enumerate(lines):
        # "old, new: ..." in a section of arguments names two, not one with a type.
        lines[number] = _SEVERAL.sub(lambda names: names[0].replace(", ", ","), line)


def _as_literal(block: re.Match[str]) -> str:
    """A list of modules keeps its columns."""
    lines = ["    " + line for line in block[0].rstrip("\n").split("\n")]
    return "\n".join([".. code-block:: none", "", *lines, "", ""])


#: Lines of a docstring that list modules: a name, two blanks or more, and what it is for.
_LISTS = re.compile(r"(?:^[\w/.]+(?: {2,}|(?<=/) )\S.*\n?(?:^ {8,}\S.*\n?)*)+", re.MULTILINE)


def _after_napoleon(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def _signature(
    app: Sphinx, what: str, name: str, obj: object, options: Any, signature: str | None, ret: str
) -> tuple[str, str] | None:
    """A dataclass's default factory is no Python that Sphinx could read."""
    return (signature.replace("<factory>", "..."), ret) if signature else None


def _include(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put in what a page includes from elsewhere, with its links made those of the site."""
    source = (ROOT / "docs" / docname).parent

    def text(directive: re.Match[str]) -> str:
        path = (source / directive[1]).resolve()
        app.env.note_dependency(path)
        return path.read_text()

    content[0] = _INCLUDE.sub(text, content[0])
    # To the lexer of `console` a hit, which begins with "#1", would be a root prompt.
    content[0] = content[0].replace("```console\n", "```text\n")
    for link, page in _LINKS.items():
        content[0] = content[0].replace(f"]({link}", f"]({page}")


_INCLUDE = re.compile(r"^```\{include\} (\S+)\n```$", re.MULTILINE)
#: Documents outside this directory, and the pages that include them.
_LINKS = {
    **dict.fromkeys(["CHANGELOG.md", "../CHANGELOG.md"], "changelog.md"),
    **dict.fromkeys(["CONTRIBUTING.md", "../CONTRIBUTING.md"], "contributing.md"),
    **dict.fromkeys(["SECURITY.md", "../SECURITY.md"], "security.md"),
    **dict.fromkeys(["examples/README.md", "../examples/README.md"], "example-guests.md"),
    "docs/": "",
}
_VALUES = ("attribute", "data", "property")
_COLON = "\N{MODIFIER LETTER COLON}"
_SEVERAL = re.compile(r"^ +\w+(?:, \w+)+(?=: )")


def setup(app: Sphinx) -> None:
    _import_all()
    app.guestdbg_names = _public_names()  # type: ignore[attr-defined]
    app.connect("missing-reference", _resolve)
    app.connect("source-read", _include)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=600)
