"""How Sphinx builds the documentation: `python -m sphinx -W docs build/docs`."""

from pytest_kbisect import __version__

project = "pytest-kbisect"
author = "the authors of pytest-kbisect"
release = version = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"pytest-kbisect {version}"
html_copy_source = False

nitpicky = True
