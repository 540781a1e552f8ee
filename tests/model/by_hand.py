"""The BPR loss with its penalty, written out as a loop."""

import math

import toy

from model.sampler import user_uniform


def loss_by_hand(users, items, layer0_users, layer0_items, l2):
    users, items = users.detach(), items.detach()
    layer0_users, layer0_items = layer0_users.detach(), layer0_items.detach()
    batch = next(user_uniform(toy.interactions(), 8, toy.generator(4)))
    total = 0.0
    rows = zip(
        batch.users.tolist(), batch.positives.tolist(), batch.negatives.tolist(), strict=True
    )
    for u, i, j in rows:
        difference = float(users[u] @ items[i] - users[u] @ items[j])
        total += math.log1p(math.exp(-difference))
        norms = layer0_users[u].square().sum() + layer0_items[[i, j]].square().sum()
        total += l2 / 2 * float(norms)
    return batch, total / len(batch.users)
