"""What goes into pages and pictures: templates, texts of any content, numbers as people write them."""
import contextlib
import errno
import os
import re

from jinja2 import Environment, FileSystemLoader, StrictUndefined

# A browser shows no control characters, XML allows none: they become their pictures, U+2400 on, or U+FFFD.
SIGNS = {c: 0x2400 + c for c in range(32)} | {0x7F: 0x2421}
SIGNS |= {c: 0xFFFD for c in [*range(0x80, 0xA0), 0xFFFE, 0xFFFF]}
SIGNS |= {ord(c): " " for c in "\t\n\v\f\r\x85"}


def visible(text):
    return text.translate(SIGNS)


def shortened(text, most):
    return visible(text if len(text) <= most else text[:most - 1] + "…")


def markdown(text):
    """As plain text in a cell of a Markdown table"""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", visible(text))


def number(n):
    return format(n, ",d")


def percent(share):
    """62 %, and 3.4 % below ten"""
    return "%.*f %%" % (1 if 0 < share < 0.0995 else 0, 100 * share)


def render(template, **values):
    environment = Environment(loader=FileSystemLoader(os.path.dirname(__file__)), undefined=StrictUndefined, autoescape=True,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=number, percent=percent, visible=visible)
    return environment.get_template(template).render(values)


@contextlib.contextmanager
def written(path):
    """A file to write to, which takes the path's place when all is written"""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    part = "%s.%d.part" % (path, os.getpid())
    try:
        with open(part, "w", encoding="utf-8") as f:
            yield f
        os.replace(part, path)
    except OSError as error:
        if error.filename == part:
            error.filename = path       # the name that the user gave
        raise
    finally:
        if os.path.exists(part):
            os.remove(part)
