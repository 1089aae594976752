"""The page about made-up reviews as a picture"""
import os
import sys
import tempfile

import psycopg

import browser
import made_up
from tools import report

with tempfile.TemporaryDirectory() as folder:
    page = os.path.join(folder, "page.html")
    made_up.fill(psycopg.connect("", autocommit=True))
    said = report("--table", "reviews", "--text", "review", "--time", "created_at", "--group", "product", "-o", page)
    if said.returncode:
        sys.exit(said.stderr)
    browser.screenshot(page, sys.argv[1], 760, 1640)
