"""Waiting for U-Boot's prompt, the same way for us and for QEMU."""

PROMPT = b"=> "
COUNTDOWN = b"Hit any key to stop autoboot"


class PromptWatcher:
    """Fed with what U-Boot prints; says when to press a key and when the prompt is there."""

    def __init__(self) -> None:
        self.output = b""
        self._pressed = False

    def feed(self, data: bytes) -> bytes:
        """Takes output, returns what to type now."""
        self.output += data
        if not self._pressed and COUNTDOWN in self.output:
            self._pressed = True
            return b" "
        return b""

    @property
    def at_prompt(self) -> bool:
        return self.output.endswith(PROMPT)
