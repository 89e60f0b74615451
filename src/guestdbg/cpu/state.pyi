"""The whole state of a processor."""

class ProcessorState:
    """The whole state of a processor, of Processor.save_state()."""

    def __bytes__(self) -> bytes: ...
