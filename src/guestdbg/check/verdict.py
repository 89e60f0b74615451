"""The exceptions that end a case without a pass."""


class Failure(Exception):
    """A promise was broken.

    Attributes:
        expected: what should have been seen, in words.
        seen: what was seen instead.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected = expected
        self.seen = seen


class Skipped(Exception):
    """The case cannot be judged on this KVM or processor; the text says why."""
