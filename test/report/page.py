"""A page as its reader finds it"""
import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Elements as (tag, attributes, text within)"""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        if tag not in ("meta", "link", "br"):
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def find(self, tag, of_class=None):
        return [e for e in self.elements if e[0] == tag and (of_class is None or of_class in e[1].get("class", "").split())]

    def texts(self, tag, of_class=None):
        return [re.sub(r"\s+", " ", text).strip() for _, _, text in self.find(tag, of_class)]

    def facts(self):
        """What was read: {name: text}"""
        return dict(zip(self.texts("dt"), self.texts("dd")))
