"""The pictures of docs/pictures that are pages in a browser: made anew by headless Chromium.

    .venv/bin/python tools/pictures.py

It needs selenium, chromium and chromedriver, as the tests of reports do.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT))

from tests.browser import chromium  # noqa: E402
from tests.cli.guests import EXAMPLES, guestdbg  # noqa: E402


def coverage(browser: Any, folder: Path) -> str:
    """The part of a report about coverage, with one file open."""
    made, log = folder / "queue.json", folder / "run.jsonl"
    guestdbg(
        *("run", "examples/queue.elf", "--watch", "queue.tail", "--count", "300"),
        *("--log", str(log), "--coverage", str(made), "--coverage-form", "counts"),
    )
    guestdbg("report", str(log), "--coverage", str(made), "--source", str(EXAMPLES))
    browser.get((folder / "run.html").as_uri())
    browser.execute_script(
        "const rows = [...document.querySelectorAll('#coverage-functions tbody tr')];"
        "rows.find((row) => row.innerText.includes('queue_push')).click()"
    )
    return "#coverage-section"


PAGES: dict[str, Callable[[Any, Path], str]] = {"report-coverage.png": coverage}


def main() -> None:
    """Make them all."""
    for name, page in PAGES.items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            with chromium(folder / "browser") as browser:
                size = {"width": 900, "height": 2400, "deviceScaleFactor": 1, "mobile": False}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                element = browser.find_element("css selector", page(browser, folder))
                element.screenshot(str(PICTURES / name))
        print(PICTURES / name)


if __name__ == "__main__":
    main()
