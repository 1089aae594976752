"""The built-in model: teachers, each from another seed, and students of all."""
import os
import random

import numpy as np
import torch

from evaluate import answers, report
from examples import for_student, for_teacher, one_hot
from network import classifier, export, round_weights, tune_gently
from swaps import same_answer
from texts import load_texts
from training import Settings, batches, cross_entropy, padded, train

LABELS = ["NEGATIVE", "POSITIVE"]
HEAD_SEED = 0        # one head for all to begin with: means of weights are of use then
PIECES = {"cpu": 4096, "cuda": 16384}           # of a batch: a GPU wants more at once
TEXTS = {"cpu": (32, 128), "cuda": (32, 512)}   # of it, at least and at most


def size(device):
    """-> how many texts are a batch, by the length of the longest"""
    least, most = TEXTS[device.type]
    return lambda longest: min(max(PIECES[device.type] // padded(longest, device), least), most)


def learner(folder):
    torch.manual_seed(HEAD_SEED)
    model, tokenizer = classifier(folder, LABELS)
    tune_gently(model)
    return model, tokenizer


def learn(model, tokenizer, plan, settings, path):
    """By the answers in the plan; and the same answer whatever the country"""
    wanted = cross_entropy(model, tokenizer.pad_token_id)
    fair = same_answer(model, tokenizer, settings.seed)
    train(model, plan, lambda batch, step: wanted(batch, step) + fair(step), settings, path)


def teach(a):
    model, tokenizer = learner(a.start)
    texts, rng = load_texts(a.data, tokenizer, a.work), random.Random(a.seed)
    name = "teacher-%d" % a.seed
    plan = [batch for _ in range(a.epochs)
            for batch in batches(for_teacher(texts, tokenizer, rng, a.seed), size(model.device), rng)]
    learn(model, tokenizer, plan, Settings(name, a.seed, a.rate, compute=a.compute), os.path.join(a.work, name + ".pt"))
    export(model, tokenizer, os.path.join(a.work, name))
    report(model, tokenizer, texts)


def opinion(folders, ids, compute):
    """The mean of the probabilities that models in these folders give the texts -> [texts][labels]"""
    total = 0
    for folder in folders:
        model, tokenizer = learner(folder)
        total = total + answers(model.eval(), ids, tokenizer.pad_token_id, compute).numpy()
    return total / len(folders)


def targets(examples, said):
    """-> [texts][labels], of each text the share that its label tells and from the teachers the rest"""
    return [told * np.array(one_hot(label, said.shape[1])) + (1 - told) * row
            for (_, label, told), row in zip(examples, said)]


def mean_of_weights(model, others):
    states = [other.state_dict() for other in others]
    model.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})


def distil(a):
    """The student begins as a mean of models, as a rule of its teachers, and learns what the teachers say together."""
    if a.epochs and not a.teachers:
        raise SystemExit("distil: --teachers is wanted, unless --epochs is 0")
    student, tokenizer = learner(a.start[0])
    mean_of_weights(student, [learner(folder)[0] for folder in a.start])
    texts, rng = load_texts(a.data, tokenizer, a.work), random.Random(a.seed)
    if a.epochs:
        examples = for_student(texts, tokenizer, rng, a.sets, a.share)
        ids = [ids for ids, _, _ in examples]
        pairs = list(zip(ids, targets(examples, opinion(a.teachers, ids, a.compute))))
        plan = [batch for _ in range(a.epochs) for batch in batches(pairs, size(student.device), rng)]
        name = os.path.basename(os.path.normpath(a.out))
        learn(student, tokenizer, plan, Settings(name, a.seed, a.rate, compute=a.compute), os.path.join(a.work, name + ".pt"))
    round_weights(student)
    export(student, tokenizer, a.out)
    student.float()
    report(student, tokenizer, texts)
