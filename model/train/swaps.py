"""Fairness: a country, a nationality, a first name or a pronoun does not make a text better or worse.
Texts for training are also read with such terms swapped for others; and over the terms of a template, which
no classifier sees with a label, the answer is to be the same."""
import os
import random
import re

from training import tensors


def terms(kind):
    with open(os.path.join(os.path.dirname(__file__), "terms", kind + ".txt"), encoding="utf-8") as f:
        return f.read().splitlines()


COUNTRIES, NATIONALITIES = terms("countries"), terms("nationalities")
NAMES, OCCUPATIONS = terms("names"), terms("occupations")
OTHER_MEANINGS = {"chad", "georgia", "jersey", "jordan", "mali", "niger", "polish", "reunion", "turkey"}
GENDERS = {"he": "she", "she": "he", "him": "her", "his": "her", "hers": "his", "himself": "herself", "herself": "himself"}
NOT_OWNED = {"a", "about", "after", "all", "an", "and", "as", "at", "before", "but", "by", "for", "from", "her", "his", "if",
             "in", "into", "is", "my", "of", "off", "on", "or", "our", "out", "that", "the", "their", "this", "to", "was",
             "when", "while", "with", "your"}


def without_article(name):
    return re.sub("^the ", "", name)


KINDS = [list(map(without_article, COUNTRIES)), NATIONALITIES, NAMES]
OTHERS = {term.lower(): kind for kind in KINDS for term in kind if term.lower() not in OTHER_MEANINGS}
TERM = re.compile(r"\b(?:%s)\b" % "|".join(map(re.escape, sorted(OTHERS, key=len, reverse=True))), re.I)
PRONOUN = re.compile(r"\b(he|she|him|his|hers|himself|herself|her)\b(?=(\W+\w+)?)", re.I)


def other_gender(match):
    """"her" is "his" before what may be owned, otherwise "him"."""
    word, following = match[1].lower(), (match[2] or "").strip().lower()
    if word != "her":
        return GENDERS[word]
    return "his" if following.isalpha() and following not in NOT_OWNED else "him"


def swapped(text, rng):
    """The text with every term another one of its kind, the same for the same, and perhaps the other gender"""
    chosen = {}
    text = TERM.sub(lambda match: chosen.setdefault(match[0].lower(), rng.choice(OTHERS[match[0].lower()])), text)
    return PRONOUN.sub(other_gender, text) if rng.random() < 0.5 else text


PRONOUNS = [("he", "him", "his", "himself"), ("she", "her", "her", "herself"), ("they", "them", "their", "themselves")]
TEMPLATES = {
    "countries": [
        "The parcel was posted in {0}.", "My neighbour grew up in {0}.", "A novel set in {0}.", "We flew home from {0}.",
        "The album was recorded in {0}.", "She studied for two years in {0}.", "Their head office is in {0}.",
        "A story about a family from {0}.", "The conference takes place in {0} this year.", "It is made in {0}.",
        "The director comes from {0}.", "Most of the second act happens in {0}.", "Our guide spoke about {0}.",
        "An article on the railways of {0}.", "He cooked a dish from {0}.", "The documentary is about {0}.", "{0}",
        "The cast travelled to {0}.", "The tea is grown in {0}.", "I bought this on a trip to {0}."],
    "nationalities": [
        "The singer is {0}.", "A {0} family moved in next door.", "Two {0} students asked the way.", "It is a {0} comedy.",
        "The hotel belongs to a {0} company.", "We had lunch at a {0} restaurant.", "The author is of {0} descent.",
        "The {0} team arrived on Monday.", "A {0} adaptation of the play.", "The manual is in {0} and English.",
        "The lead is played by a {0} newcomer."],
    "names": [
        "{0} works in the office upstairs.", "I spoke to {0} on the phone.", "The part went to {0}.", "{0} answered my question.",
        "The book was written by {0}.", "My brother {0} has one, too.", "{0} is behind the camera.", "The room was let by {0}.",
        "{0} called about the order.", "My name is {0}."],
    "occupations": [
        "My cousin is a {0}.", "The story follows a {0}.", "I asked the {0} about it.", "The {0} came at noon.",
        "A {0} lives next door.", "The main character works as a {0}.", "The {0} wrote a letter to the editor."],
    "pronouns": [
        "I met {1} at the station.", "The last chapter is about {1}.", "On Friday {0} went home early.", "It was {2} idea.",
        "Nobody asked {1} about {2} work.", "Before the play {0} read the script.", "The camera follows {1} through the city.",
        "{0} did it by {3}.", "The doctor read {2} notes.", "The engineer parked {2} car.", "The nurse took off {2} coat."]}
FILLED_BY = {"countries": COUNTRIES, "nationalities": NATIONALITIES, "names": NAMES, "occupations": OCCUPATIONS,
             "pronouns": PRONOUNS}


def filled(rng, n):
    """One template with n different terms -> texts"""
    kind = rng.choice(list(TEMPLATES))
    template = rng.choice(TEMPLATES[kind])
    chosen = rng.sample(FILLED_BY[kind], min(n, len(FILLED_BY[kind])))
    return [template.format(*([term] if isinstance(term, str) else term)) for term in chosen]


def same_answer(model, tokenizer, seed, weight=4.0, n=12, every=4):
    """-> the loss of a step: in one of `every` steps, `weight` times the variance of the logits over n terms
    of a template.  Of a text's logits only what differs between them counts."""
    def loss(step):
        if step % every:
            return 0.0
        ids = tokenizer(filled(random.Random("%d %d" % (seed, step)), n))["input_ids"]
        logits = model(**tensors(ids, tokenizer.pad_token_id, model.device)).logits.float()
        logits = logits - logits.mean(1, keepdim=True)
        return weight * ((logits - logits.mean(0)) ** 2).sum(1).mean()
    return loss
