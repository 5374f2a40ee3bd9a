"""Makes ``ops/docs/console.png``: the operator's desk in the demonstration, a crash that has just been answered.

python ops/picture.py        needs Chromium and a Japanese font (Debian: chromium, fonts-noto-cjk); run it
                             when the desk has come to look different
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PICTURE = Path(__file__).resolve().parent / "docs" / "console.png"
FLAGS = ("--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
SEEN_MS = 60_000
PORT = 18_080


def take(desk: str) -> None:
    """Answer the simulated crash at the desk whose address is ``desk``, and keep the screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="ja-JP")
        page.goto(desk)
        page.get_by_test_id("start").click(timeout=SEEN_MS)
        expect(page.get_by_test_id("answer")).to_be_visible(timeout=SEEN_MS)
        page.keyboard.press("F2")
        expect(page.get_by_test_id("voice")).to_have_attribute("data-state", "connected", timeout=SEEN_MS)
        expect(page.get_by_test_id("place-words")).to_be_visible(timeout=SEEN_MS)
        page.screenshot(path=PICTURE)
        browser.close()


def main() -> int:
    sos = Path(sys.executable).with_name("sos")
    with tempfile.TemporaryDirectory() as folder:
        command = [sos, "demo", "--data", folder, "--port", str(PORT)]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert demo.stdout is not None
            desk = next(found[0] for line in demo.stdout if (found := re.search(r"http://\S+/console/#code=\S+", line)))
            take(desk)
        finally:
            demo.terminate()
            demo.wait(20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
