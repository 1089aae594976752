"""From a network that knows some English to one that tells praise from blame."""
from examples import contrasts, labelled, phrases, sentences, together, windows
from network import Noise
from training import doubting, train

TOKENS = 2048        # of a batch

# Windows of reviews, as lengths and how many of each an epoch has.
MANY_WINDOWS = [([14, 30], 5000), ([62, 126], 8000), ([254], 1000), ([510], 400)]
FEW_WINDOWS = [([14, 30], 3000), ([62, 126], 3000), ([254], 700), ([510], 200)]
POLISH_WINDOWS = [([14, 30], 4000), ([62, 126], 6000), ([254], 700), ([510], 200)]


def finetune(model, data, unlabelled, probabilities, tok, a):
    """unlabelled: sentences as ids, probabilities: what the teacher says of them.  First
    reviews and such sentences, in numbers; then SST-2 with some of them, so that nothing
    learnt before is lost; at last many texts made by rule, since negation is learnt late."""
    never = [tok.encode(text) for text, _ in data["everyday"]]
    reviews = [(tok.encode(text), y) for text, y in data["reviews"]]
    distant = together([windows(reviews, MANY_WINDOWS, 0.2), sentences(unlabelled, probabilities, 40000)], never)
    tuning = together([phrases(data, tok), contrasts(data, tok, 3), windows(reviews, FEW_WINDOWS, 0.1),
                       sentences(unlabelled, probabilities, 15000)], never)
    polish = together([phrases(data, tok), contrasts(data, tok, 25), windows(reviews, POLISH_WINDOWS, 0.1)], never)
    noise = Noise(0.1, a.device, a.dtype)

    def logit(ids):
        logits = model(ids, a.dtype, noise)
        return logits[:, 1] - logits[:, 0]

    for stage, epoch, steps, peak in (("distant", distant, a.distant_steps, 4e-4),
                                      ("finetune", tuning, a.finetune_steps, 3e-4),
                                      ("polish", polish, a.polish_steps, 1.5e-4)):
        train(stage, model, steps, lambda rng: labelled(epoch, TOKENS, tok, rng, a.device),
              doubting(logit, 0.04), peak, a)
