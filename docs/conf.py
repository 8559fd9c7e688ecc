"""How Sphinx builds this folder; `make docs` writes the site to docs/_build/html.

The build reads nothing from the network and fails on any warning, a reference that leads nowhere
among them.
"""

import re
from importlib.metadata import version as version_of

from docutils.nodes import Element
from pydantic import BaseModel
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "hydracalc"
version = release = version_of("hydracalc")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"hydracalc {release}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
highlight_language = "none"  # indented blocks are shell lines and output, not Python

myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "model_config,ignored_changes",  # of pydantic and ASE
}
# optional packages are not imported: the extra `docs` is enough, and torch_sim needs Python 3.12
autodoc_mock_imports = ["dftd3", "matplotlib", "torch_geometric", "torch_sim"]
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_custom_sections = [("Attributes", "params_style")]  # "low, high: ..." are two at once
napoleon_use_rtype = False
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

default_role = "code"  # docstrings are plain text with code in single backticks
nitpicky = True
# other packages, whose pages are not read: the site can be built offline
OTHERS = "ase|collections|contextlib|numpy|pathlib|pydantic|torch|torch_geometric"
nitpick_ignore_regex = [(r"py:.*", rf"({OTHERS})\..*")]
nitpick_ignore = [
    ("py:exc", "PropertyNotImplementedError"),  # of ASE
    ("py:class", "hydracalc.models.inference.Composition"),  # passed on between files of the model
    ("py:class", "hydracalc.parallel.workers.Result"),  # type variables
    ("py:class", "hydracalc.parallel.workers.Task"),
]

CODE = re.compile(r"(`+[^`]+`+)")
# |x|, *.cif, and "N." at the end of a line, which would begin a list
LOOKS_LIKE_MARKUP = re.compile(r"[|*]|(?<=\b[A-Z])\.$", re.MULTILINE)


def take_literally(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Let the text of a docstring be what it looks like, not markup; changes `lines`."""
    parts = CODE.split("\n".join(lines))
    plain = [LOOKS_LIKE_MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
    lines[:] = "".join(
        text for pair in zip(plain, [*parts[1::2], ""], strict=True) for text in pair
    ).split("\n")
    if what == "property":
        lines[:0] = ["..", ""]  # else what is before a colon would be taken for the type


def shorten_signature(  # noqa: PLR0913  # what Sphinx hands over
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Defaults that are made anew are dots; what pydantic checks is in its list of attributes."""
    if isinstance(obj, type) and issubclass(obj, BaseModel):
        return "", None
    return signature and signature.replace("<factory>", "..."), returns


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """The one object with this last name: docstrings write `DataError`, not where it lives."""
    name = node.get("reftarget", "").rpartition(".")[2]
    if node.get("refdomain") != "py" or not name:
        return None
    domain = env.domains.python_domain
    found = {
        entry.node_id: full
        for full, entry in domain.objects.items()
        if full.rpartition(".")[2] == name
    }
    if len(found) != 1:
        return None
    (full_name,) = found.values()
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full_name, node, content)


def setup(app: Sphinx) -> None:
    """Connect what is above to the build."""
    app.connect("autodoc-process-docstring", take_literally, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("missing-reference", find_by_last_name)
