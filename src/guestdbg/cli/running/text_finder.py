"""A text that is looked for in what the guest prints."""


class TextFinder:
    """Looks for a text in output that comes in pieces; the text may lie across their ends."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._tail = b""

    def feed(self, data: bytes) -> bool:
        """Whether the text is in the output, now that `data` has been added to it."""
        window = self._tail + data
        self._tail = window[-(len(self._text) - 1) :] if len(self._text) > 1 else b""
        return self._text in window
