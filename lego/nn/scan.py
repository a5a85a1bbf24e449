"""Linear recurrences without a loop over places."""

from __future__ import annotations

import torch
from torch import Tensor


def linear_scan(decay: Tensor, value: Tensor) -> Tensor:
    """decay (B, S, W), value (B, S, W) -> (B, S, W): h_s = decay_s ⊙ h_{s−1} + value_s with h_{−1} = 0.

    Two steps of the recurrence are one step of a recurrence half as long: log2(S) levels, O(S) work (Blelloch 1990). Decays of
    magnitude up to 1 are only ever multiplied, never divided by, so long sequences stay exact.
    """
    length = value.size(1)
    if length == 1:
        return value
    pairs = length // 2
    first_decay, second_decay = decay[:, 0 : 2 * pairs : 2], decay[:, 1 : 2 * pairs : 2]
    first, second = value[:, 0 : 2 * pairs : 2], value[:, 1 : 2 * pairs : 2]
    odd = linear_scan(
        second_decay * first_decay, second_decay * first + second
    )  # states at places 1, 3, 5, …
    even = value[:, 2::2] + decay[:, 2::2] * odd[:, : value[:, 2::2].size(1)]  # states at places 2, 4, 6, …
    even = torch.cat([value[:, :1], even], 1)
    woven = torch.stack([even[:, :pairs], odd], 2).flatten(1, 2)
    return woven if length % 2 == 0 else torch.cat([woven, even[:, pairs:]], 1)
