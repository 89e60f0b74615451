"""The processor finds all of its compiled instruction modules."""

import pkgutil
from pathlib import Path

import pytest

processor = pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here"
)
from guestdbg.cpu import instructions  # noqa: E402


def test_none_is_left_out() -> None:
    found = pkgutil.walk_packages(instructions.__path__, f"{instructions.__name__}.")
    modules = [each.name for each in found if not each.ispkg]
    folder = Path(instructions.__path__[0])
    assert processor._compiled_modules(instructions.__name__, folder) == modules


def test_other_files_are_none(tmp_path: Path) -> None:
    """Compiled for another Python, sources, caches, and folders that are no packages."""
    suffix = processor.EXTENSION_SUFFIXES[0]
    for name in (
        "a.cpython-39-other.so",
        "b.pyx",
        "c.pxd",
        "__init__.py",
        f"d{suffix}",
        "e.so.old",
    ):
        (tmp_path / name).write_bytes(b"")
    for name in ("__pycache__", "not-one", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"f{suffix}").write_bytes(b"")
    assert processor._compiled_modules("p", tmp_path) == ["p.d", "p.inner.f"]
