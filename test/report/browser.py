"""Headless Chromium: what a page becomes, what it says on its console, and whom it asks for something"""
import json
import os
import re
import subprocess
import tempfile

QUIET = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND"]


def chromium(page, *options):
    with tempfile.TemporaryDirectory() as profile:
        root = ["--no-sandbox"] if os.getuid() == 0 else []
        return subprocess.run(["nice", "chromium", *QUIET, *root, "--user-data-dir=" + profile, *options, "file://" + page],
                              capture_output=True, text=True, check=True, timeout=300)


def opened(page):
    """-> (the document after loading, lines of the console, addresses on the net that were asked for)"""
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "net.json")
        said = chromium(page, "--dump-dom", "--enable-logging=stderr", "--log-level=0", "--log-net-log=" + log)
        with open(log, encoding="utf-8") as f:
            events = json.load(f)["events"]
    # What Chromium asks for on its own account is initiated by no origin; a page in a file is the origin "null".
    requests = [event["params"] for event in events if "initiator" in event.get("params", {})]
    urls = {request["url"] for request in requests if request["initiator"] != "not an origin"}
    return said.stdout, re.findall(r".*CONSOLE.*", said.stderr), urls


def screenshot(page, file, width, height, *options):
    chromium(page, "--window-size=%d,%d" % (width, height), "--screenshot=" + file, *options)


def all_looks(page, name):
    """NAME-light.png, -dark.png, -phone.png and NAME.pdf"""
    screenshot(page, name + "-light.png", 900, 2600)
    screenshot(page, name + "-dark.png", 900, 2600, "--blink-settings=preferredColorScheme=0")
    screenshot(page, name + "-phone.png", 390, 2600)
    chromium(page, "--no-pdf-header-footer", "--print-to-pdf=" + name + ".pdf")
