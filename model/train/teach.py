"""The built-in model: teachers, each from another seed, and the student of all."""
import os
import random

import torch
import torch.nn.functional as F

from corpora import load_data
from evaluate import report
from examples import for_student, for_teacher
from network import classifier, export, tune_gently
from swaps import same_answer
from training import Settings, batches, cross_entropy, tensors, train

LABELS = ["NEGATIVE", "POSITIVE"]
HEAD_SEED = 0        # one head for all to begin with: means of weights are of use then
BATCH = 32


def plan(examples, data, tokenizer, epochs, seed):
    rng = random.Random(seed)
    return [batch for _ in range(epochs) for batch in batches(examples(data, tokenizer, rng), BATCH, rng)]


def learner(folder):
    torch.manual_seed(HEAD_SEED)
    model, tokenizer = classifier(folder, LABELS)
    tune_gently(model)
    return model, tokenizer


def teach(a):
    data = load_data(a.data)
    model, tokenizer = learner(a.start)
    os.makedirs(a.work, exist_ok=True)
    name = "teacher-%d" % a.seed
    hard, fair = cross_entropy(model, tokenizer.pad_token_id), same_answer(model, tokenizer, a.seed)
    train(model, plan(for_teacher, data, tokenizer, a.epochs, a.seed), lambda batch, step: hard(batch, step) + fair(step),
          Settings(name, a.seed, a.rate, compute=a.compute), os.path.join(a.work, name + ".pt"))
    export(model, tokenizer, os.path.join(a.work, name))
    report(model, tokenizer, data)


def mean_of_weights(model, teachers):
    states = [teacher.state_dict() for teacher in teachers]
    model.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})


@torch.no_grad()
def opinion(teachers, inputs):
    """The mean of the teachers' probabilities"""
    return sum(teacher(**inputs).logits.float().softmax(1) for teacher in teachers) / len(teachers)


def targets(batch, inputs, teachers):
    """The label of a text that has one; of the others what the teachers say"""
    labels = [label for _, label in batch]
    if None not in labels:
        return torch.tensor(labels, device=inputs["input_ids"].device)
    said = opinion(teachers, inputs)
    return torch.stack([row if label is None else row.new_tensor(label) for row, label in zip(said, labels)])


def distil(a):
    """The student begins as the mean of its teachers, and learns what they say together of short texts, and long texts."""
    data = load_data(a.data)
    teachers = [learner(folder)[0].eval() for folder in a.teachers]
    student, tokenizer = learner(a.teachers[0])
    mean_of_weights(student, teachers)
    fair = same_answer(student, tokenizer, a.seed)

    def loss_of(batch, step):
        inputs = tensors([ids for ids, _ in batch], tokenizer.pad_token_id, student.device)
        return F.cross_entropy(student(**inputs).logits.float(), targets(batch, inputs, teachers)) + fair(step)

    os.makedirs(a.work, exist_ok=True)
    train(student, plan(for_student, data, tokenizer, a.epochs, a.seed), loss_of,
          Settings("student", a.seed, a.rate, compute=a.compute), os.path.join(a.work, "student.pt"))
    student.half()
    export(student, tokenizer, a.out)
    student.float()
    report(student, tokenizer, data)
