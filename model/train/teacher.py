"""The teachers: convolutional networks over word vectors, which learn in minutes what words
and short phrases say.  Their opinion of sentences without a label helps to train the small
transformer, which is slower to learn."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from batches import batches, padded
from examples import labelled, phrases, sentences_of_reviews, together
from tokenizer import PAD
from training import doubting, train

TEACHERS = 3         # that begin and forget differently; the mean of their logits counts
WIDTHS = (2, 3, 5)
CHANNELS = 150
TOKENS = 4096        # of a batch
DOCUMENT = 1.0       # weight of what the other sentences of a review say


class ConvNet(nn.Module):
    """Y. Kim: Convolutional Neural Networks for Sentence Classification (EMNLP 2014), and the
    mean of the word vectors beside the convolutions."""

    def __init__(self, vectors):
        super().__init__()
        vocab, dim = vectors.shape
        self.words = nn.Embedding(vocab, dim)
        self.words.weight.data.copy_(torch.from_numpy(5 * vectors))   # about 0.2 each
        self.conv = nn.ModuleList(nn.Conv1d(dim, CHANNELS, width, padding=width // 2) for width in WIDTHS)
        self.head = nn.Linear(CHANNELS * len(WIDTHS) + dim, 1)

    def forward(self, ids):
        """ids [B][T], 0 where padded -> [B], the logit of POSITIVE"""
        mask = (ids != PAD)[:, :, None]
        x = F.dropout(self.words(ids), 0.2, self.training) * mask
        features = [F.relu(conv(x.transpose(1, 2)))[:, :, :ids.shape[1]].amax(2) for conv in self.conv]
        features.append(x.sum(1) / mask.sum(1))
        return self.head(F.dropout(torch.cat(features, 1), 0.5, self.training))[:, 0]


def trained_teacher(name, data, vectors, tok, a):
    """First what reviews say about their sentences, then SST-2."""
    net = ConvNet(vectors).to(a.device)
    never = [tok.encode(text) for text, _ in data["everyday"]]
    for stage, epoch, steps, doubt in (("distant", sentences_of_reviews(data, tok), a.teacher_distant_steps, 0.3),
                                       ("finetune", phrases(data, tok), a.teacher_finetune_steps, 0.04)):
        epoch = together([epoch], never)
        train(name + "-" + stage, net, steps, lambda rng: labelled(epoch, TOKENS, tok, rng, a.device),
              doubting(net, doubt), 1e-3, a)
    return net.eval()


def opinions(net, texts, device):
    """-> the logit for each of the texts"""
    out = np.zeros(len(texts), np.float32)
    with torch.no_grad():
        for batch in batches(list(zip(texts, range(len(texts)))), 4 * TOKENS, np.random.default_rng(0)):
            out[[i for _, i in batch]] = net(padded([text for text, _ in batch], device)).cpu().numpy()
    return out


def soft_labels(reviews, data, vectors, tok, a):
    """reviews: lists of sentences -> probability of POSITIVE for every sentence, in one
    array.  The rest of its review speaks, too: who praises or blames in one sentence
    seldom does the other in the next."""
    sentences = [sentence for review in reviews for sentence in review]
    logits = np.mean([opinions(trained_teacher("teacher-%d" % i, data, vectors, tok, a), sentences, a.device)
                      for i in range(TEACHERS)], axis=0)
    ends = np.cumsum([len(review) for review in reviews])
    for own in np.split(logits, ends[:-1]):        # a view: changed in place
        own += DOCUMENT * (own.sum() - own) / max(len(own) - 1, 1)
    return 1 / (1 + np.exp(-logits))
