"""How the site is built: Sphinx, Markdown by MyST, the Furo theme. Nothing is fetched, neither when it is built nor when it is read."""

project = "floodmark"
copyright = "the floodmark project"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
html_theme = "furo"
html_title = "floodmark"
exclude_patterns = ["_site"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
nitpick_ignore_regex = [("py:.*", ".*")]  # types of NumPy, Arrow and the program's own that have no page
smartquotes = False  # commands are copied from the pages: -- must stay two hyphens
suppress_warnings = ["myst.header"]
