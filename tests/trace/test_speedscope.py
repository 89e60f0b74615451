"""Profiles in speedscope itself: they keep to its published schema, and it shows them.

tools/setup-tests fetches it from the npm registry. It runs from its files, without a server.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.trace import Profile
from tests.browser import chromium
from tests.cli.guests import EXAMPLES

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / ".cache" / "speedscope" / "package" / "dist" / "release"

pytestmark = pytest.mark.skipif(
    not RELEASE.is_dir(), reason="no speedscope: tools/setup-tests fetches it"
)


def from_a_guest() -> Profile:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
    with guestdbg.load(EXAMPLES / "queue.elf", console=None, provider="soft") as guest:
        sampler = guest.sample(10_000)
        sampler.run()
    return sampler.profile


def without_samples() -> Profile:
    return Profile("a guest that ended before its first sample", 1_000_000)


def hostile() -> Profile:
    """Names of functions are the guest's: any text, also what is no UTF-8 in its file."""
    profile = Profile("</script>\n\"'\udcff", 1 << 60)
    for name in ("</script><script>alert(1)</script>", "\udcff", "", "a\nb\0;", "x" * 5000):
        profile.add((name, name))
    return profile


PROFILES = (from_a_guest, without_samples, hostile)


@pytest.mark.parametrize("made", PROFILES)
def test_its_schema_has_no_objection(made: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads((RELEASE / "file-format-schema.json").read_text())
    document = json.loads(b"".join(made().form(".json")))
    jsonschema.validate(document, schema)
    document["profiles"][0]["type"] = "other"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_it_shows_them(tmp_path: Path) -> None:
    """As its command does it, the file is in a script that the page loads."""
    with chromium(tmp_path / "browser") as browser:
        for number, made in enumerate(PROFILES):
            profile = made()
            data = base64.b64encode(b"".join(profile.form(".json"))).decode()
            script = tmp_path / f"{number}.js"
            script.write_text(f'speedscope.loadFileFromBase64("{number}.json", "{data}")')
            browser.get("about:blank")  # another fragment alone does not load the page anew
            browser.get(f"{(RELEASE / 'index.html').as_uri()}#localProfilePath={script}")
            title = profile.title.split()[0]
            shown = "return document.title + document.body.innerText"
            for _ in range(100):
                text = browser.execute_script(shown)
                if title in text or "Something went wrong" in text:
                    break
                browser.execute_async_script("setTimeout(arguments[0], 100)")
            assert "Something went wrong" not in text
            assert title in text
            errors = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
            assert not errors
