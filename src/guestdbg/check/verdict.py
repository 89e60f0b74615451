"""What a case raises when it is not a pass."""


class Failure(Exception):
    """A promise was broken.

    Attributes:
        expected: what should have been.
        seen: what was.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected = expected
        self.seen = seen


class Skipped(Exception):
    """The case has no meaning here; the text says why."""
