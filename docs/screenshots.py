"""Takes the pictures of report.html: `python docs/screenshots.py REPORT.html`.

Writes docs/images/report-light.png and report-dark.png, the top of the page as a reader with a light or a
dark desktop sees it, and search-light.png and search-dark.png, its chapter on the search. Needs chromium;
pngquant makes them smaller.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
WIDTH = 1060
HEIGHTS = {"report": 730, "search": 1165}
"""Pixels of the window."""
ONLY = {"report": "", "search": "header, footer, section:not([aria-labelledby=search]) { display: none }"}
"""A window without a screen cannot be scrolled: what comes before is left out instead."""
SCHEMES = {"dark": 0, "light": 1}
"""Blink's numbers of what prefers-color-scheme says."""


def take(page: Path, part: str, scheme: str) -> None:
    picture = IMAGES / f"{part}-{scheme}.png"
    with tempfile.TemporaryDirectory() as profile:
        copy = Path(profile) / "report.html"
        copy.write_text(page.read_text().replace("</style>", f"{ONLY[part]}</style>", 1))
        subprocess.run(
            [
                *(
                    "chromium",
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                ),
                *(
                    "--hide-scrollbars",
                    f"--user-data-dir={profile}",
                    f"--window-size={WIDTH},{HEIGHTS[part]}",
                ),
                *(f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--screenshot={picture}"),
                copy.as_uri(),
            ],
            check=True,
            capture_output=True,
        )
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--ext", ".png", "64", str(picture)], check=True)


if __name__ == "__main__":
    for part in HEIGHTS:
        for scheme in SCHEMES:
            take(Path(sys.argv[1]), part, scheme)
