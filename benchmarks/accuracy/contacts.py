"""Fit a lifter's contacts anew, on the features that it has; nothing else of it changes.

python benchmarks/accuracy/contacts.py MOCAP_FOLDER MODEL OUT [--windows 20000]

What a foot does is read off the encoder's features by two rows of one linear layer: a logistic
regression, fitted here on windows of the recipe `lifter/seen` as the lifter's training draws them.
Judged before and after on windows of the dev actors that are looked at five times a second.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vid3d.data.batches import BatchOptions, Motions, make_batch
from vid3d.lifter.checkpoint import Networks, load_networks, write_model
from vid3d.training.lifter import batch_options, dev_batches, encode, load_motions
from vid3d.training.recipes import load_recipe

RECIPE = "lifter/seen"
EVERY = 4
"""Moments of a window from one that is learnt from to the next: neighbours say the same."""
DECAY = 1e-5
BATCH = 128


def features_of(networks: Networks, motions: Motions, options: BatchOptions, count: int,
                seed: int) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Features (N, C) of moments of `count` windows, and which feet rest then (N, 2)."""
    features, resting = [], []
    for number in range(-(-count // BATCH)):
        generator = torch.Generator().manual_seed(seed + number)
        batch = make_batch(motions, BATCH, replace(options, blind=0.0), generator)
        with torch.no_grad():
            encoded, targets = encode(networks.encoder, batch, networks.config.centred)
        chosen = targets.valid.clone()
        chosen[:, torch.arange(chosen.shape[1]) % EVERY != 0] = False
        features.append(encoded.features[chosen])
        resting.append(targets.contacts[chosen])
    return torch.cat(features), torch.cat(resting)


def fitted(features: Tensor, resting: Tensor, begin: Tensor) -> Tensor:
    """Weights (2, C + 1), the bias last, of a logistic regression; L-BFGS from `begin`."""
    weights = begin.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        said = features @ weights[:, :-1].T + weights[:, -1]
        loss = functional.binary_cross_entropy_with_logits(said, resting)
        loss = loss + DECAY * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def judge(networks: Networks, dev: list) -> str:
    """Cross-entropy, share of right answers, and of the foot that stands where one does."""
    said, truth = [], []
    for batch in dev:
        with torch.no_grad():
            encoded, targets = encode(networks.encoder, batch, networks.config.centred)
        said.append(encoded.contacts[targets.valid])
        truth.append(targets.contacts[targets.valid])
    logits, resting = torch.cat(said), torch.cat(truth)
    loss = functional.binary_cross_entropy_with_logits(logits, resting)
    right = ((logits > 0) == (resting > 0.5)).float().mean()
    one = resting.sum(1) == 1
    which = (logits[one].argmax(1) == resting[one].argmax(1)).float().mean()
    apart = logits[one].sigmoid().diff(dim=1).abs().mean()
    return (
        f"cross-entropy {loss:.3f}, right {right:.3f}; "
        f"where one stands: which {which:.3f}, {apart:.2f} apart"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--windows", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(RECIPE)
    seen = batch_options(recipe.batches)
    motions, dev_motions = load_motions(recipe, [options.mocap])
    networks = load_networks(options.model)
    dev = dev_batches(dev_motions, seen, 1024)
    print("before:", judge(networks, dev))
    features, resting = features_of(networks, motions, seen, options.windows, seed=5000)
    head = networks.encoder.head
    begin = torch.cat([head.weight[-2:], head.bias[-2:, None]], 1)
    found = fitted(features, resting, begin)
    with torch.no_grad():
        head.weight[-2:], head.bias[-2:] = found[:, :-1], found[:, -1]
    print(f"after, {len(features)} moments:", judge(networks, dev))
    write_model(options.out, networks)


if __name__ == "__main__":
    main()
