from __future__ import annotations

import numpy as np
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from lego.nn.rotary import rotated


def test_equals_turning_complex_numbers():
    """The pair (i, i + E/2) is a complex number, turned by place · 10000^(−2i/E)."""
    vectors = np.random.default_rng(0).standard_normal((2, 3, 5, 8))
    pairs = vectors[..., :4] + 1j * vectors[..., 4:]
    turned = pairs * np.exp(1j * np.arange(5)[:, None] * 10000.0 ** (-2 * np.arange(4) / 8))
    found = rotated(torch.from_numpy(vectors))
    np.testing.assert_allclose(found, np.concatenate([turned.real, turned.imag], -1), atol=1e-6)


def test_equals_the_language_models():
    """It is what LLaMA does to its queries."""
    query = torch.randn(2, 3, 5, 8)
    angle = torch.arange(5.0)[:, None] * 10000 ** (-torch.arange(4) / 4)
    angle = torch.cat([angle, angle], -1)[None]
    wanted, _ = apply_rotary_pos_emb(query, query, angle.cos(), angle.sin())
    torch.testing.assert_close(rotated(query), wanted)


def test_half_precision_is_kept():
    """The angles are made in float32, the result has the dtype of the input."""
    assert rotated(torch.randn(1, 1, 300, 4).bfloat16()).dtype == torch.bfloat16
