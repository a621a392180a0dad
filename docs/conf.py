"""Sphinx configuration; `make docs` builds with every warning an error."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from blinddps_sci import __version__

project = "blinddps-sci"
author = "blinddps-sci developers"
copyright = "2026, blinddps-sci developers"
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "option_table",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas are there without the network, too
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "examples"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # two modules may each have, say, a `Gaussian`; a link takes either

autosummary_generate = False  # tables of contents only: a page documents a whole package
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give types with shapes and units
default_role = "py:obj"  # what docstrings name links there, if it is documented
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# The examples are run by `make gallery`, which keeps what they printed and drew in examples/pictures:
# together they restore for minutes. Here they only become pages.
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "plot_gallery": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "within_subsection_order": "run_examples.GalleryOrder",
    "thumbnail_size": (400, 280),
}

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 1,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "start": [], "**": ["sidebar-nav-bs"]}
