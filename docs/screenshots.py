"""Takes the pictures of report.html: `python docs/screenshots.py REPORT.html`.

Writes docs/images/report-light.png and report-dark.png: the top of the page, as a reader with a light or a
dark desktop sees it. Needs chromium; pngquant makes them smaller.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
SIZE = (1060, 1560)
"""Pixels of the window: the answer, the crash and the first steps of the search."""
SCHEMES = {"dark": 0, "light": 1}
"""Blink's numbers of what prefers-color-scheme says."""


def take(page: Path, scheme: str) -> None:
    picture = IMAGES / f"report-{scheme}.png"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(
                    "chromium",
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                ),
                *("--hide-scrollbars", f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}"),
                *(f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--screenshot={picture}"),
                page.absolute().as_uri(),
            ],
            check=True,
            capture_output=True,
        )
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--ext", ".png", "64", str(picture)], check=True)


if __name__ == "__main__":
    for scheme in SCHEMES:
        take(Path(sys.argv[1]), scheme)
