# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""A headless Chromium, driven by a script that is put into the page."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ('chromium', 'chromium-browser', 'chromium-headless-shell', 'chrome-headless-shell',
         'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge')

_REPORT = 'result-of-the-test'


def chromium() -> str:
    """Path of a Chromium; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f'no Chromium here: none of {", ".join(NAMES)} on the PATH')
    return found


def evaluate(page: str, script: str, folder: Path, width: int) -> dict:
    """Open a page at a width and give what a script returns.

    Args:
        page: HTML.
        script: Body of a function; ``window`` and ``document`` are the page's. What it returns
            must be JSON.
        folder: Where to put files.
        width: Of the page in pixels. (A headless window has 500 pixels at least; the frame that
            the page stands in can be narrower.)

    Returns:
        What the script returned, and under ``failures`` the page's errors and what it tried to
        load from elsewhere.
    """
    # Nothing but the page itself may be loaded.
    head = '''<head><meta http-equiv="Content-Security-Policy"
 content="default-src data: 'unsafe-inline'">
<script>
const failures = [];
addEventListener('error', (event) =>
  failures.push(String(event.message || event.target.src)), true);
addEventListener('securitypolicyviolation', (event) => failures.push(event.blockedURI));
</script>'''
    foot = f'''<script>
addEventListener('load', () => {{
  let result;
  try {{
    result = (() => {{ {script} }})();
  }} catch (error) {{
    result = {{error: String(error)}};
  }}
  parent.document.getElementById('{_REPORT}').textContent = JSON.stringify({{...result, failures}});
}});
</script></body>'''
    inner = page.replace('<head>', head, 1).replace('</body>', foot)
    path = folder / f'page_{width}.html'
    path.write_text(
        f'<!DOCTYPE html><body style="margin: 0"><pre id="{_REPORT}"></pre>'
        f'<iframe style="border: 0; width: {width}px; height: 900px" '
        f'srcdoc="{html.escape(inner)}"></iframe></body>', encoding='utf-8')
    done = subprocess.run(
        [chromium(), '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
         '--no-first-run', '--disable-extensions', '--disable-background-networking',
         f'--user-data-dir={folder / "profile"}',
         f'--window-size={max(width, 500)},900', '--dump-dom', path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True)
    found = re.search(f'<pre id="{_REPORT}">(.*?)</pre>', done.stdout, re.S)
    assert found and found[1], done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))
