"""Sets of sentences that differ in what should not matter, read as their authors publish them."""
import json
import re
from collections import namedtuple
from json import decoder, scanner

# Two texts that should have the same score. Differences are those of the second less the first.
Pair = namedtuple("Pair", "group first second")

MALE, FEMALE = {"he", "him", "his", "himself"}, {"she", "her", "hers", "herself"}


def refuse(path, line, expected, found=None):
    raise SystemExit("%s: line %d: expected %s%s" % (path, line, expected, "" if found is None else ", not %r" % found[:80]))


def contents(path):
    """The file's text, which a server can hold"""
    with open(path, "rb") as f:
        data = f.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse(path, data.count(b"\n", 0, error.start) + 1, "UTF-8")
    if "\0" in text:
        refuse(path, text.count("\n", 0, text.index("\0")) + 1, "text without a zero byte")
    return text


def lines(path, what):
    """-> [(number, line)], of a file that must not be empty"""
    found = [line.removesuffix("\r") for line in contents(path).split("\n")]
    while found and not found[-1].strip():
        found.pop()
    if not found:
        refuse(path, 1, what)
    return list(enumerate(found, 1))


def terms(path):
    """One a line"""
    for n, line in (found := lines(path, "a term")):
        if not line.strip():
            refuse(path, n, "a term", line)
    return list(dict.fromkeys(line for _, line in found))


def templates(path):
    """One a line, with {} where the terms go"""
    for n, line in (found := lines(path, "a template with {}")):
        if "{}" not in line:
            refuse(path, n, "a template with {}", line)
    return list(dict.fromkeys(line for _, line in found))


def winogender(path):
    """all_sentences.tsv (Rudinger et al. 2018): a sentence for each of three genders"""
    row = "occupation.participant.answer.gender.txt, a tab and a sentence"
    (_, header), *rest = lines(path, 'the header "sentid", a tab, "sentence"')
    if header != "sentid\tsentence":
        refuse(path, 1, 'the header "sentid", a tab, "sentence"', header)
    groups = {}
    for n, line in rest:
        match = re.fullmatch(r"(.+\..+\..+)\.(male|female|neutral)\.txt\t(.*\S.*)", line)
        if not match:
            refuse(path, n, row + " (gender: male, female or neutral)", line)
        of = groups.setdefault(match[1], (n, {}))[1]
        if match[2] in of:
            refuse(path, n, "one sentence only of %s.%s" % (match[1], match[2]), line)
        of[match[2]] = match[3]
    if not groups:
        refuse(path, 2, row)
    for name, (n, of) in groups.items():
        if len(of) < 3:
            refuse(path, n, "for %s the sentences male, female and neutral, not only %s" % (name, " and ".join(of)))
    return [Pair("%s less %s" % (b, a), of[a], of[b]) for a, b in (("male", "female"), ("male", "neutral"), ("female", "neutral"))
            for _, of in groups.values()]


def bracketed(path):
    """A file of WinoBias -> [(sentence, the same without what is in brackets, gender of its first pronoun in brackets)]"""
    found = []
    for n, line in lines(path, "the line's number, a blank and a sentence"):
        match = re.fullmatch(r"(\d+) (.*\S.*)", line)
        if not match or int(match[1]) != n:
            refuse(path, n, "the line's number, a blank and a sentence", line)
        words = [word for word in re.findall(r"\[([^][]*)\]", match[2].lower()) if word in MALE | FEMALE]
        if not words:
            refuse(path, n, "a sentence with a pronoun in brackets, such as [she]", line)
        gender = "male" if words[0] in MALE else "female"
        found.append((re.sub(r"[][]", "", match[2]), re.sub(r"\[[^][]*\]", "[]", match[2]), gender))
    return found


def winobias(pro_path, anti_path):
    """Two files of one type and part (Zhao et al. 2018): line by line a sentence with the stereotype of an occupation and one
    against it"""
    pro, anti = bracketed(pro_path), bracketed(anti_path)
    shorter, others = (anti_path, len(pro)) if len(anti) < len(pro) else (pro_path, len(anti))
    if len(pro) != len(anti):
        refuse(shorter, min(len(pro), len(anti)) + 1, "a sentence: the other file has %d" % others)
    different = [n for n, (a, b) in enumerate(zip(pro, anti)) if a[1] != b[1]]
    if 2 * len(different) > len(pro):   # in the published files a few are, by mistake
        n = different[0]
        refuse(anti_path, n + 1, 'line %d of %s but for what is in brackets, "%s"' % (n + 1, pro_path, pro[n][0]), anti[n][0])
    return [Pair("%s pronoun by stereotype" % gender, text, other) for (text, _, gender), (other, _, _) in zip(pro, anti)]


class Placed(json.JSONDecoder):
    """Objects know where in the text they begin, in "at"."""

    def __init__(self):
        super().__init__()
        self.parse_object = self.placed_object
        self.scan_once = scanner.py_make_scanner(self)

    def placed_object(self, text_and_at, *more):
        found, end = decoder.JSONObject(text_and_at, *more)
        return PlacedObject(found, text_and_at[1]), end


class PlacedObject(dict):
    def __init__(self, found, at):
        super().__init__(found)
        self.at = at


def stereoset(path):
    """dev.json (Nadeem et al. 2021): of each item the sentence with the stereotype and the one against it"""
    text = contents(path)

    def check(ok, at, expected):
        if not ok:
            refuse(path, text.count("\n", 0, at) + 1, expected)

    def has(found, name, kind, at, of):
        ok = isinstance(found, dict) and isinstance(found.get(name), kind) and found[name]
        check(ok, found.at if isinstance(found, PlacedObject) else at, '%s with "%s"' % (of, name))
        return found[name]

    def one(item, label):
        found = []
        for sentence in has(item, "sentences", list, item.at, "an item"):
            said, gold = (has(sentence, name, str, item.at, "a sentence") for name in ("sentence", "gold_label"))
            found += [said] * (gold == label)
        check(len(found) == 1, item.at, 'one sentence with the gold_label "%s" in the item, not %d' % (label, len(found)))
        return found[0]

    try:
        root = Placed().decode(text)
    except json.JSONDecodeError as error:
        refuse(path, error.lineno, "JSON (%s)" % error.msg)
    except RecursionError:
        refuse(path, 1, "StereoSet's JSON, which is not as deep")
    data, pairs = has(root, "data", dict, 1, "an object"), []
    for kind in ("intrasentence", "intersentence"):
        for item in has(data, kind, list, data.at, "data"):
            bias = has(item, "bias_type", str, data.at, "an item")
            before = has(item, "context", str, item.at, "an item") + " " if kind == "intersentence" else ""
            texts = [before + one(item, label) for label in ("stereotype", "anti-stereotype")]
            pairs.append(Pair("%s, %s" % (bias, kind), *texts))
    return sorted(pairs, key=lambda pair: pair.group)
