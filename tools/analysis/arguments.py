"""What tools/report and tools/bias are asked; wrong arguments end the program."""
import argparse
import re


def positive_number(given):
    if not re.fullmatch("0*[1-9][0-9]*", given):
        raise argparse.ArgumentTypeError("%r is no number of rows" % given)
    return int(given)


def add_server(parser):
    parser.add_argument("--model", help="installed model that answers, by default the server's")
    parser.add_argument("--dsn", default="", help="connection, by default that of libpq's environment")


def report(given=None):
    parser = argparse.ArgumentParser(prog="tools/report", description="Write a page about the texts of a table.")
    parser.add_argument("--table", required=True, help="table or view, perhaps with its schema")
    parser.add_argument("--text", required=True, help="column with the texts")
    parser.add_argument("--score", help="column with their scores, so that no text is classified again")
    parser.add_argument("--time", help="column with a date or timestamp, for the share by week")
    parser.add_argument("--group", help="column by whose values the share is shown as well")
    parser.add_argument("--sample", type=positive_number, metavar="N", help="read N rows, drawn at random")
    add_server(parser)
    parser.add_argument("-o", "--out", required=True, metavar="PAGE.html", help="file to write")
    a = parser.parse_args(given)
    if a.score and a.model:
        parser.error("--model does not go with --score: no model answers")
    return a


def bias(given=None):
    parser = argparse.ArgumentParser(prog="tools/bias", description="Show how far a model's answers depend on what should not.")
    parser.add_argument("--templates", metavar="FILE", help="sentences with {}, one a line (default: ten about countries)")
    parser.add_argument("--terms", metavar="FILE", help="what goes in their place, one a line (default: sst2_countries())")
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--winogender", metavar="all_sentences.tsv", help="WinoGender instead")
    known.add_argument("--winobias", nargs=2, action="append", metavar=("PRO", "ANTI"), help="WinoBias instead; may be repeated")
    known.add_argument("--stereoset", metavar="dev.json", help="StereoSet instead")
    parser.add_argument("--svg", default="bias.svg", metavar="FILE", help="where the picture goes (default: bias.svg)")
    add_server(parser)
    a = parser.parse_args(given)
    if (a.winogender or a.winobias or a.stereoset) and (a.templates or a.terms):
        parser.error("--templates and --terms do not go with a known set")
    return a
