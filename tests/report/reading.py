"""A page as a browser sees it: elements, tables, and the data of its figures."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np

KINDS = {"u2": "<u2", "u4": "<u4", "f4": "<f4", "f8": "<f8"}
VOID = {"meta", "link", "img", "br", "input", "line", "path", "circle"}


def decoded(array: dict[str, str]) -> np.ndarray:
    """What the page makes of a typed array."""
    return np.frombuffer(base64.b64decode(array["bdata"]), dtype=KINDS[array["dtype"]])


class Page(HTMLParser):
    """Collects every element with its attributes and its own text, in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.source = text
        self.elements: list[dict[str, Any]] = []
        self.open: list[dict[str, Any]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element, under the elements that are open."""
        element = {"tag": tag, "text": "", "above": list(self.open), **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that ends where it starts, as in drawings."""
        self.elements.append({"tag": tag, "text": "", "above": list(self.open), **dict(attrs)})

    def handle_endtag(self, tag: str) -> None:
        """Every end must match the element that is open."""
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1]["tag"] == tag, f"</{tag}> closes <{self.open[-1]['tag']}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        """Text belongs to all elements that are open."""
        for element in self.open:
            element["text"] += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, Any]]:
        """Elements of a tag whose attributes contain these words (`cls` stands for class)."""
        wanted = {name.replace("cls", "class").replace("_", "-"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element["tag"] == tag
            and all(value in (element.get(name) or "").split() for name, value in wanted.items())
        ]

    def within(self, outer: dict[str, Any], tag: str) -> list[dict[str, Any]]:
        """Elements of a tag somewhere below an element."""
        return [e for e in self.elements if e["tag"] == tag and any(above is outer for above in e["above"])]

    def rows(self, table_class: str) -> list[list[str]]:
        """The cells of the body of a table."""
        (table,) = self.all("table", cls=table_class)
        rows = [row for row in self.within(table, "tr") if self.within(row, "td")]
        return [[cell["text"].strip() for cell in self.within(row, "td")] for row in rows]

    def shared(self) -> dict[str, Any]:
        """The data that all figures share."""
        (script,) = [e for e in self.all("script") if e.get("id") == "page-data"]
        return json.loads(script["text"])

    def figure(self, title: str) -> dict[str, Any] | None:
        """The data of a panel by its title, None if the panel says that there is nothing to draw."""
        for figure in self.all("figure"):
            headings = self.within(figure, "h4")
            if headings and headings[0]["text"].split(" train")[0].strip() == title:
                scripts = self.within(figure, "script")
                return json.loads(scripts[0]["text"]) if scripts else None
        raise AssertionError(f"no panel {title!r}")

    def titles(self) -> list[str]:
        """The titles of the panels, in order."""
        return [heading["text"].split(" train")[0].strip() for heading in self.all("h4")]
