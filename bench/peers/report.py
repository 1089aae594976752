"""report.py SPEED.json SQL.json OUT.md OUT.svg: the tables and the picture of what speed.py and sql.py have measured."""
import json
import platform
import sys
from importlib.metadata import version

import matplotlib
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

matplotlib.use("svg")
# pylint: disable=wrong-import-position
from matplotlib import pyplot

MODELS = {"official": "official shape", "builtin": "built-in model"}
PUBLISHED = 91.06  # of the official model on SST-2 dev, in its card's metadata
PACKAGES = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino", "NNCF": "nncf", "transformers": "transformers",
            "torch": "torch"}
FEATURES = ("avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
COLOURS = {"distilsst": "#1f6fb4", "ONNX Runtime": "#c8621b", "OpenVINO": "#8a5cc2", "transformers": "#2f8f5b"}
MARKERS = {"int8": "o", "bf16": "^", "fp32": "s"}
PAGE = """# Beside other engines

One core of {cpu}.
{versions}; our kernels: {kernels}.
One thread each, the same weights and token ids, in turn, medians of {repeats}, by `make bench-peers`.

Sentences are the first of SST-2 dev, {tokens[sentences]:.0f} tokens on average, reviews made ones, {tokens[reviews]:.0f} tokens.
In batches the peers get texts sorted by length and padded, we get them as they come. int8 of ONNX Runtime is its dynamic
quantisation, of OpenVINO NNCF's; what that leaves is in the precision that OpenVINO chooses for the CPU. The official shape has
made weights: they say how fast it is, and nothing of how right.

Milliseconds a text:

{speed}

Right on SST-2 dev, the built-in model, one sentence at a time:

{accuracy}

![accuracy by speed](results-peers.svg)

## In SQL

The built-in model over {count} rows, the sentences of SST-2 dev again and again, more than a session remembers; one backend or
client, medians of {repeats} passes in turn. The first row loads the library and the model.

{sql}
"""


def digits(ms):
    return "%.2f" % ms if ms < 10 else "%.1f" % ms if ms < 100 else "%.0f" % ms


def ratios(engines, ms):
    """Our speed in int8, the first engine's, over that of the best peer of any precision, and over that of the best in int8."""
    peers = [(precision, time) for (name, precision), time in zip(engines, ms) if name != "distilsst"]
    return min(time for _, time in peers) / ms[0], min(time for precision, time in peers if precision == "int8") / ms[0]


def table(head, rows, words=1):
    """Lines of a Markdown table whose first columns, `words` of them, are words and the others figures."""
    lines = [head, ["---"] * words + ["--:"] * (len(head) - words), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def speed_table(found):
    engines = found["engines"]
    rows = []
    for row in found["rows"]:
        count = found["counts"][row["texts"]]
        how = "one by one" if row["batch"] == 1 else "batches of %d" % row["batch"]
        rows.append([MODELS[row["model"]], "%d %s, %s" % (count, row["texts"], how), *map(digits, row["ms"]),
                     *("%.2f" % ratio for ratio in ratios(engines, row["ms"]))])
    head = ["model", "texts", *(" ".join(engine) for engine in engines), "times the best peer", "times the best int8 peer"]
    return table(head, rows, 2)


def accuracy_table(found):
    head = [" ".join(engine) for engine in found["engines"]]
    return table(head, [["%.2f %%" % share for share in found["accuracy"]]], 0)


def sql_table(sql):
    best = max(way["rate"] for way in sql["ways"][1:])
    rows = [[way["name"], "%.0f" % way["rate"], "%.2f" % (way["rate"] / best), "%.2f %%" % way["right"], "%.1f" % way["first"]]
            for way in sql["ways"]]
    return table(["", "rows a second", "times the best other", "right", "first row, s"], rows)


def cpu():
    """The processor, and what it has for engines like these"""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in file)}
    flags = facts.get("flags", "").split()
    features = ", ".join(("" if name in flags else "no ") + name for name in FEATURES)
    return "%s (%s)" % (facts.get("model name", platform.machine()), features)


def markdown(found, sql, repeats):
    versions = ["%s %s" % (name, version(package)) for name, package in PACKAGES.items()]
    return PAGE.format(cpu=cpu(), kernels=found["kernels"], repeats=repeats, versions=", ".join(versions), tokens=found["tokens"],
                       count=sql["count"], speed="\n".join(speed_table(found)), accuracy="\n".join(accuracy_table(found)),
                       sql="\n".join(sql_table(sql)))


def points(found):
    """(engine, precision, model) -> texts a second with sentences, by the better of one by one and batches"""
    speeds = {}
    for row in found["rows"]:
        for engine, ms in zip(found["engines"], row["ms"]):
            if row["texts"] == "sentences":
                key = (*engine, row["model"])
                speeds[key] = max(1000 / ms, speeds.get(key, 0))
    return speeds


def legend(axes):
    def entry(label, colour="#777", marker="o", fill="full"):
        return Line2D([], [], color=colour, marker=marker, linestyle="", fillstyle=fill, label=label)

    none = entry(" ", marker="")
    columns = [[entry(name, colour) for name, colour in COLOURS.items()],
               [*(entry(precision, marker=marker) for precision, marker in MARKERS.items()), none],
               [entry("built-in model, measured", marker="D"),
                entry("official shape; accuracy as published", marker="D", fill="none"), none, none]]
    axes.legend(handles=sum(columns, []), loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False,
                labelcolor="#777")


def picture(found, path):
    """Colours that can be read on white and on black."""
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "distilsst", "font.size": 10, "text.color": "#777",
                                "font.family": "sans-serif", "axes.edgecolor": "#999", "axes.labelcolor": "#777",
                                "xtick.color": "#777", "ytick.color": "#777", "grid.color": "#999"})
    figure, axes = pyplot.subplots(figsize=(7.2, 5))
    right = dict(zip(map(tuple, found["engines"]), found["accuracy"]))
    for (name, precision, model), speed in points(found).items():
        ours = name == "distilsst"
        axes.plot(speed, PUBLISHED if model == "official" else right[name, precision], MARKERS[precision],
                  color=COLOURS[name], markersize=10 if ours else 7, zorder=3 if ours else 2,
                  fillstyle="none" if model == "official" else "full", markeredgewidth=1.5)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(FixedLocator([x for x in (20, 50, 100, 200, 500, 1000, 2000, 5000) if low <= x <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes.set_xlabel("sentences a second on one core (logarithmic)")
    axes.set_ylabel("right on SST-2 dev, %")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    legend(axes)
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None, "Title": "Accuracy by speed"})


def main():
    speed, sql, repeats, out_markdown, out_picture = sys.argv[1:]
    with open(speed, encoding="ascii") as file:
        found = json.load(file)
    with open(sql, encoding="ascii") as file:
        in_sql = json.load(file)
    with open(out_markdown, "w", encoding="utf-8") as file:
        file.write(markdown(found, in_sql, int(repeats)))
    picture(found, out_picture)


if __name__ == "__main__":
    main()
