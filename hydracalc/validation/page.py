"""A page that opens offline: text, tables and pictures in one HTML file, nothing from elsewhere."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from hydracalc.validation.pictures import PNG_DPI

_STYLE = """
:root { --ink: #1f2933; --faint: #66717d; --line: #dfe4e9; --accent: #2b6cb0; }
body { font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  color: var(--ink); background: #f5f7f9; margin: 0; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 24px 60px; }
header { border-bottom: 3px solid var(--accent); margin-bottom: 22px; }
h1 { font-size: 26px; margin: 0 0 6px; } h2 { font-size: 20px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0 10px; max-width: 78ch; } .faint { color: var(--faint); }
section { background: white; border: 1px solid var(--line); border-radius: 8px;
  padding: 18px 22px 20px; margin: 18px 0; overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--faint); font-weight: 600; border-bottom-width: 2px; }
.left { text-align: left; }
img { max-width: 100%; height: auto; display: block; margin: 6px 0; }
.tag { border-radius: 4px; padding: 1px 7px; font-weight: 600; }
.good { background: #d8f0df; color: #1c5f35; } .bad { background: #fbdcd5; color: #8a2a14; }
.open { background: #eceff2; color: #4a5560; }
@media print { body { background: white; } section { break-inside: avoid; } }
"""
_CSS_DPI = 96
_TAGS = {"helped": "good", "hurt": "bad", "undecided": "open"}


class Page:
    """Sections in order; text is escaped, so names from data stay text.

    Args:
        title: of the page.
        about: line below it.
    """

    def __init__(self, title: str, about: str = "") -> None:
        self._title = title
        self._parts = [
            f"<header><h1>{escape(title)}</h1><p class='faint'>{escape(about)}</p></header>"
        ]
        self._in_section = False

    def section(self, title: str, about: str = "") -> None:
        """Begin a section."""
        self._end_section()
        self._parts.append(f"<section><h2>{escape(title)}</h2>")
        self._in_section = True
        if about:
            self.text(about, is_faint=True)

    def _end_section(self) -> None:
        if self._in_section:
            self._parts.append("</section>")
        self._in_section = False

    def heading(self, text: str) -> None:
        """A small heading."""
        self._parts.append(f"<h3>{escape(text)}</h3>")

    def text(self, text: str, *, is_faint: bool = False) -> None:
        """A paragraph."""
        self._parts.append(f"<p{' class=faint' if is_faint else ''}>{escape(text)}</p>")

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, num_names: int = 1
    ) -> None:
        """A table; a verdict is shown in its color.

        Args:
            columns: names.
            rows: as many cells each.
            num_names: columns of text at the left; the others are numbers.
        """
        lines = [_row("th", columns, num_names)]
        lines += [_row("td", [str(cell) for cell in row], num_names) for row in rows]
        self._parts.append("<table>" + "\n".join(lines) + "</table>")

    def picture(self, png: bytes, text: str) -> None:
        """A picture, kept inside the page; `text` says what it shows."""
        data = b64encode(png).decode("ascii")
        pixels = int.from_bytes(png[16:20])  # where a PNG file states its width
        width = round(pixels * _CSS_DPI / PNG_DPI)
        self._parts.append(
            f"<img width='{width}' alt='{escape(text)}' src='data:image/png;base64,{data}'>"
        )

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        self._end_section()
        head = f"<meta charset='utf-8'><title>{escape(self._title)}</title>"
        view = "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        body = "\n".join(self._parts)
        part = path.with_name(path.name + ".part")
        part.write_text(
            f"<!doctype html><html lang='en'><head>{head}{view}<style>{_STYLE}</style></head>"
            f"<body><main>{body}</main></body></html>\n",
            encoding="utf-8",
        )
        part.replace(path)


def _row(kind: str, cells: Sequence[str], num_names: int) -> str:
    shown = []
    for place, cell in enumerate(cells):
        side = " class='left'" if place < num_names else ""
        text = escape(cell)
        if cell in _TAGS:
            text = f"<span class='tag {_TAGS[cell]}'>{text}</span>"
        shown.append(f"<{kind}{side}>{text}</{kind}>")
    return f"<tr>{''.join(shown)}</tr>"
