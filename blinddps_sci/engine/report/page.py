"""HTML of a report: escaped text, tables and figures, in a page without outer resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from string import Template

__all__ = ["Section", "figure", "page", "paragraph", "rows", "table"]

Section = tuple[str, str]
"""Heading, as text, and content, as HTML."""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; max-width: min(29.5rem, 100%); }
figure img { max-width: 100%; background: white; }
figcaption { font-size: 0.9rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: 0.2rem 1rem 0.2rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { white-space: nowrap; overflow-wrap: normal; }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


def page(title: str, sections: Iterable[Section]) -> str:
    """Return a page of sections."""
    body = "\n".join(f"<h2>{escape(heading)}</h2>\n{content}" for heading, content in sections)
    return _PAGE.substitute(title=escape(title), body=body)


def paragraph(text: str) -> str:
    """Return text as a paragraph."""
    return f"<p>{escape(text)}</p>"


def figure(uri: str, caption: str) -> str:
    """Return a picture, given as a data URI, with its caption."""
    text = escape(caption)
    return f'<figure><img src="{escape(uri)}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def rows(facts: Mapping[str, object]) -> str:
    """Return facts as a table of names and values."""
    lines = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    return f"<table>{lines}</table>"


def table(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Return a table with a line of headings."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in line) + "</tr>" for line in lines
    )
    return f"<table><tr>{head}</tr>{body}</table>"
