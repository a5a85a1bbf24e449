from __future__ import annotations

import torch
from torch import nn

from lego.contract import Needs
from lego.nn.token_encoder import TokenEncoder
from lego.sequence.attention import Attention
from lego.spec import Context


def test_a_table_and_a_sequence_module_make_a_content_module():
    """Ids become vectors of the table's width, and these an item; the weights of both are in it."""
    table = nn.Embedding(10, 6, padding_idx=0)
    sequence = Attention(heads=2).build(Context(width=8, input_width=6, length=5)).eval()
    encoder = TokenEncoder(table, sequence)
    tokens = torch.tensor([[1, 2, 3], [4, 0, 0]])
    out = encoder(tokens, tokens > 0, Needs())
    assert torch.equal(out.tensor, sequence(table(tokens), tokens > 0, Needs()).tensor)
    assert {name.split(".")[0] for name in encoder.state_dict()} == {"table", "sequence"}
