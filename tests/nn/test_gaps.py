from __future__ import annotations

import math

import torch

from lego.nn.gaps import BUCKETS, buckets


def test_buckets_double():
    """The bucket of a gap is the integer part of log₂(gap + 1), on both sides of each power of two; the last takes the rest."""
    gaps = [0, 1, 2, 3, 6, 7, 8, 59, 3599, 86_400, 2**31 - 2, 2**31 - 1, 2**40]
    wanted = [min(int(math.log2(gap + 1)), BUCKETS - 1) for gap in gaps]
    assert buckets(torch.tensor([gaps])).tolist() == [wanted]
    assert wanted[-3:] == [30, 31, 31]
