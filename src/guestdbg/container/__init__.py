"""Files that hold the state of a guest: their form. What is in them is of the rooms above.

errors       what is wrong with a file
compression  compressing, and expanding to a size that is known before
values       plain values and records as bytes, checked when they are read
file_form    sections with a digest over everything: written whole or not at all
pages        pages of memory in sections, and the memory image that they are expanded into
"""

from guestdbg.container.errors import ContainerError
from guestdbg.container.file_form import MAGIC, VERSION, ContainerFile, Section, write_container
from guestdbg.container.pages import MemoryImage, PageSource, expand, page_sections

__all__ = [
    "MAGIC",
    "VERSION",
    "ContainerError",
    "ContainerFile",
    "MemoryImage",
    "PageSource",
    "Section",
    "expand",
    "page_sections",
    "write_container",
]
