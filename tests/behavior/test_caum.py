from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.behavior.caum import CAUM
from lego.contract import Needs
from lego.nn import blocks
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=5)
LENGTHS = (5, 2, 0)
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
EVERYONE = torch.ones(3, 4, dtype=torch.bool)


def softmax(logits):
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


class TestCAUM(BehaviorTests):
    operator = CAUM

    @pytest.mark.parametrize("block", [blocks.BLOCK, 1])
    @pytest.mark.parametrize("kernel", [1, 2, 3])
    def test_equals_the_formula(self, kernel, block, monkeypatch):
        """Click by click and head by head in numpy; windows see zeros beyond the history; no history, the learned vector."""
        monkeypatch.setattr(blocks, "BLOCK", block)
        module = CAUM(heads=2, kernel=kernel, attention=5).build(CONTEXT).eval()
        history, candidates = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
        found = module(history, MASK, candidates, EVERYONE, Needs()).tensor.detach().numpy()
        w = {name: value.detach().numpy() for name, value in module.state_dict().items()}
        for row, length in enumerate(LENGTHS[:2]):
            clicks = history[row, :length].numpy()
            for column in range(4):
                v = candidates[row, column].numpy()
                joined = []
                for i in range(length):
                    heads = []
                    for head in (slice(0, 4), slice(4, 8)):
                        asks = (w["query.weight"] @ clicks[i] + w["candidate_query.weight"] @ v)[head]
                        logits = np.array([asks @ (w["key.weight"] @ n)[head] / 2 for n in clicks])
                        values = np.stack([(w["value.weight"] @ n)[head] for n in clicks])
                        heads.append(softmax(logits) @ values)
                    near = w["window.bias"] + w["candidate_window.weight"] @ v
                    for tap in range(kernel):
                        at = i + tap - (kernel - 1) // 2
                        if 0 <= at < length:
                            near = near + w["window.weight"][:, :, tap] @ clicks[at]
                    joined.append(w["join.weight"] @ np.concatenate([near, *heads]) + w["join.bias"])
                units = [
                    np.tanh(
                        w["relevance.layers.0.weight"] @ np.concatenate([m, v]) + w["relevance.layers.0.bias"]
                    )
                    for m in joined
                ]
                share = softmax(np.array([(w["weight.weight"] @ unit)[0] for unit in units]))
                np.testing.assert_allclose(found[row, column], share @ np.stack(joined), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found[2], np.broadcast_to(w["default.vector"], (4, 8)))
