"""What each instruction did: the binary file of a trace, read and turned into other forms.

records     records of the file, and what the file begins with
tarmac      as the text that Arm's models write
lines       as lines of JSON
rows        as rows of tables
conversion  a file into a file of another form, by the ending of its name
"""

from guestdbg.trace.tracing.instructions.conversion import FORMS, check_form, convert
from guestdbg.trace.tracing.instructions.records import (
    Access,
    Record,
    RecordFile,
    header,
    parse,
)

__all__ = ["FORMS", "Access", "Record", "RecordFile", "check_form", "convert", "header", "parse"]
