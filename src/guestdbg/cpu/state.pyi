"""The whole state of a processor."""

class ProcessorState:
    """The whole state of a processor, from Processor.save_state()."""

    def __bytes__(self) -> bytes: ...
    def serialize(self) -> bytes: ...  # in a form for files
