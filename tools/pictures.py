"""The pictures of docs/pictures that are pages in a browser: made anew by headless Chromium.

    .venv/bin/python tools/pictures.py [NAME.png...]

It needs selenium, chromium and chromedriver, as the tests of reports do.
"""

import base64
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT))

import guestdbg as guestdbg_library  # noqa: E402
from tests.browser import chromium  # noqa: E402
from tests.cli.guests import EXAMPLES, guestdbg  # noqa: E402


def set_size(browser: Any, width: int, height: int) -> None:
    """Of what is seen of a page."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


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


def genhtml(browser: Any, folder: Path) -> str:
    """A source file as lcov's genhtml shows it."""
    made = folder / "queue.info"
    guestdbg("run", "examples/queue.elf", "--coverage", str(made), "--coverage-form", "counts")
    subprocess.run(["genhtml", "-q", "-o", folder / "html", made], check=True, cwd=ROOT)
    (page,) = (folder / "html").rglob("queue.c.gcov.html")
    set_size(browser, 900, 560)
    browser.get(page.as_uri())
    browser.execute_script(
        "const source = document.querySelector('pre.source');"
        "source.style.height = '26em'; source.style.overflow = 'hidden'"
    )
    return "body"


def speedscope(browser: Any, folder: Path) -> str:
    """A profile in speedscope, which tools/setup-tests fetches."""
    made, script = folder / "queue.json", folder / "profile.js"
    guestdbg("run", "examples/queue.elf", "--sample", str(made), "--sample-every", "10000")
    data = base64.b64encode(made.read_bytes()).decode()
    script.write_text(f'speedscope.loadFileFromBase64("queue.json", "{data}")')
    release = ROOT / ".cache" / "speedscope" / "package" / "dist" / "release"
    set_size(browser, 900, 300)
    browser.get(f"{(release / 'index.html').as_uri()}#localProfilePath={script}")
    time.sleep(3)
    return "body"


def shown(browser: Any, folder: Path, html: str, width: int, height: int) -> str:
    """A part of a page, as a page of its own."""
    page = folder / "shown.html"
    page.write_text(f"<body style='font: 13px sans-serif; background: #fff'>{html}</body>")
    set_size(browser, width, height)
    browser.get(page.as_uri())
    return "body"


def notebook(browser: Any, folder: Path) -> str:
    """A recording as a notebook shows it."""
    with guestdbg_library.load(EXAMPLES / "queue.elf", console=None) as guest:
        recording = guest.record("queue.tail")
        guest.run()
        html = recording._repr_html_()
    return shown(browser, folder, html, 680, 560)


def tables(browser: Any, folder: Path) -> str:
    """A log in Parquet as pandas shows it."""
    import pandas  # type: ignore[import-untyped]

    path = folder / "hits.parquet"
    guestdbg(
        *("run", "examples/queue.elf", "--watch", "queue.tail", "--break", "job_finish"),
        *("--log", str(path)),
    )
    columns = ["point", "instructions", "function", "line", "element", "old", "new"]
    frame = pandas.read_parquet(path, dtype_backend="numpy_nullable")[columns].tail(8)
    style = "table { border-collapse: collapse } th, td { padding: 2px 10px; text-align: right }"
    table = frame.to_html(border=0, na_rep="&lt;NA&gt;", escape=False)
    return shown(browser, folder, f"<style>{style}</style>{table}", 760, 230)


def faults(browser: Any, folder: Path) -> str:
    """The page of a fault campaign, with the lines of the check."""
    page = folder / "faults.html"
    guestdbg(
        *("faults", "examples/secure-boot.elf", "--from", "main", "-o", str(folder / "boot")),
        *("--function", "check_signature", "--function", "boot", "--end", "reject"),
        *("--success", "start_image", "--source", "examples", "--page", str(page)),
    )
    browser.get(page.as_uri())
    return "body"


PAGES: dict[str, Callable[[Any, Path], str]] = {
    "report-coverage.png": coverage,
    "genhtml.png": genhtml,
    "speedscope.png": speedscope,
    "notebook.png": notebook,
    "tables.png": tables,
    "faults.png": faults,
}


def main() -> None:
    """Make them all."""
    for name, page in PAGES.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            with chromium(folder / "browser") as browser:
                set_size(browser, 900, 2400)
                element = browser.find_element("css selector", page(browser, folder))
                element.screenshot(str(PICTURES / name))
        print(PICTURES / name)


if __name__ == "__main__":
    main()
