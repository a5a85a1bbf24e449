from __future__ import annotations

import torch

from lego.seed import lent, numpy_generator, torch_generator, torch_seed


def test_streams_are_apart():
    """A purpose, an epoch and a seed each make a stream; the same words give the same one."""
    first = [numpy_generator(0, "negatives", epoch).random() for epoch in range(3)]
    assert first == [numpy_generator(0, "negatives", epoch).random() for epoch in range(3)]
    others = [numpy_generator(0, "order", 0).random(), numpy_generator(1, "negatives", 0).random()]
    assert len({*first, *others}) == 5
    assert torch_seed(0, "a", 1) != torch_seed(0, "a", 2) != torch_seed(1, "a", 2)
    assert (
        torch.rand(3, generator=torch_generator(4, "x")).tolist()
        == torch.rand(3, generator=torch_generator(4, "x")).tolist()
    )


def test_torch_is_given_back():
    """Inside, torch draws from the stream; outside it goes on as if nothing had been drawn."""
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    first = torch.rand(2)
    with lent(7, "x"):
        inside = torch.rand(3)
        with lent(8, "x"):
            torch.rand(1)
    assert torch.equal(torch.cat([first, torch.rand(2)]), expected)
    with lent(7, "x"):
        assert torch.equal(torch.rand(3), inside)
