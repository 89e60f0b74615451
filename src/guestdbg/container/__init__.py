"""Files that hold the state of a guest: their form. What is in them is of the rooms above.

errors       what is wrong with a file
compression  compressing, and expanding to a size that is known before
values       plain values and records as bytes, checked when they are read
forms        which files there are, by their first bytes
file_form    sections with a digest over everything: written whole or not at all
pages        pages of memory in sections, and the memory image that they are expanded into
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.container.errors import ContainerError
    from guestdbg.container.file_form import (
        ContainerFile,
        Section,
        container_bytes,
        write_container,
    )
    from guestdbg.container.forms import MAGIC_SIZE, RECORDED_RUN, SNAPSHOT, Form, form_of
    from guestdbg.container.pages import (
        MemoryImage,
        PageRuns,
        PageSource,
        expand,
        page_runs,
        page_sections,
    )

__all__ = [
    "MAGIC_SIZE",
    "RECORDED_RUN",
    "SNAPSHOT",
    "ContainerError",
    "ContainerFile",
    "Form",
    "MemoryImage",
    "PageRuns",
    "PageSource",
    "Section",
    "container_bytes",
    "expand",
    "form_of",
    "page_runs",
    "page_sections",
    "write_container",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.container.errors": ("ContainerError",),
        "guestdbg.container.file_form": (
            "ContainerFile",
            "Section",
            "container_bytes",
            "write_container",
        ),
        "guestdbg.container.forms": ("MAGIC_SIZE", "RECORDED_RUN", "SNAPSHOT", "Form", "form_of"),
        "guestdbg.container.pages": (
            "MemoryImage",
            "PageRuns",
            "PageSource",
            "expand",
            "page_runs",
            "page_sections",
        ),
    },
)
