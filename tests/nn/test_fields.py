from __future__ import annotations

import pytest
import torch

from lego.contract import Needs, Out
from lego.nn.fields import Deep, Fields, FirstOrder, inner_products, joined, linear, perceptron, weighed
from lego.nn.mlp import MLP

ITEMS, USERS = {"category": 3, "a.genre of it": 5}, {"age": 4}
MASK = torch.ones(2, 3, dtype=torch.bool)


def needs() -> Needs:
    genres = torch.tensor([[[4, 1], [2, 0], [0, 0]], [[1, 1], [3, 0], [0, 0]]])
    return Needs(
        profile={"age": torch.tensor([[3], [0]])},
        candidates={"category": torch.tensor([[[1], [2], [0]]] * 2), "a.genre of it": genres},
    )


def test_vectors_are_two_fields():
    """Without attributes the fields are the user beside each candidate, and the candidate; nothing is learned."""
    fields = Fields(4)
    user, candidates = torch.randn(2, 4), torch.randn(2, 3, 4)
    found = fields(Out(user), candidates, MASK, Needs())
    assert fields.count == 2
    assert not list(fields.parameters())
    assert torch.equal(found, torch.stack([user.unsqueeze(1).expand(2, 3, 4), candidates], 2))


@pytest.mark.parametrize("per_candidate", [False, True])
def test_an_attribute_is_the_mean_of_its_values(per_candidate):
    """Row 0 of the table stands where an item or a user has no value, and is no part of a mean."""
    fields = Fields(4, ITEMS, USERS)
    user, candidates = torch.randn((2, 3, 4) if per_candidate else (2, 4)), torch.randn(2, 3, 4)
    found = fields(Out(user), candidates, MASK, needs())
    assert found.shape == (2, 3, 5, 4)
    assert (fields.user_count, fields.item_count, fields.count) == (2, 3, 5)
    age = fields.user.tables[0].weight
    category, genre = (table.weight for table in fields.item.tables)
    torch.testing.assert_close(found[0, 1, 1], age[3])
    torch.testing.assert_close(found[1, 2, 1], age[0])
    torch.testing.assert_close(found[:, :, 2], candidates)
    torch.testing.assert_close(found[1, 2, 3], category[0])
    torch.testing.assert_close(found[0, 0, 4], (genre[4] + genre[1]) / 2)
    torch.testing.assert_close(found[1, 0, 4], genre[1])
    torch.testing.assert_close(found[0, 1, 4], genre[2])
    torch.testing.assert_close(found[0, 2, 4], genre[0])


def test_the_user_comes_once():
    """Fields of a user have one place where there are several candidates, and gradients reach the values that there are."""
    fields = Fields(4, ITEMS, USERS)
    of_user, of_item = fields.apart(Out(torch.randn(2, 4)), torch.randn(2, 3, 4), MASK, needs())
    assert of_user.shape == (2, 1, 2, 4)
    assert of_item.shape == (2, 3, 3, 4)
    of_item.sum().backward()
    touched = fields.item.tables[1].weight.grad.abs().sum(-1)
    assert (touched > 0).tolist() == [True, True, True, True, True]
    assert fields.item.tables[0].weight.grad[2].tolist() == pytest.approx([2.0] * 4)


@pytest.mark.parametrize("per_candidate", [False, True])
def test_the_first_order_part_is_linear(per_candidate):
    """A weight a dimension of the vectors and a weight a value."""
    first_order = FirstOrder(4, ITEMS, USERS)
    user, candidates = torch.randn((2, 3, 4) if per_candidate else (2, 4)), torch.randn(2, 3, 4)
    found = first_order(Out(user), candidates, needs())
    vector = user[0, 0] if per_candidate else user[0]
    wanted = vector @ first_order.of_user.weight[0] + first_order.of_item(candidates[0, 0])
    wanted = wanted + first_order.user.tables[0].weight[3, 0] + first_order.item.tables[0].weight[1, 0]
    wanted = wanted + first_order.item.tables[1].weight[[4, 1], 0].mean()
    assert found.shape == (2, 3)
    torch.testing.assert_close(found[0, 0], wanted.squeeze())


@pytest.mark.parametrize("places", [1, 3])
def test_parts_equal_the_whole(places):
    """What reads parts gives what it would give for the parts side by side."""
    parts = torch.randn(2, places, 4), torch.randn(2, 3, 2)
    whole = torch.cat([parts[0].expand(2, 3, 4), parts[1]], -1)
    layer, layers, deep = torch.nn.Linear(6, 5), MLP(6, (5, 4)), Deep(6, (), 0.0)
    torch.testing.assert_close(joined(parts), whole)
    torch.testing.assert_close(linear(layer, parts), layer(whole))
    torch.testing.assert_close(perceptron(layers.layers, parts), layers(whole))
    torch.testing.assert_close(perceptron(MLP(6, ()).layers, parts), whole)
    torch.testing.assert_close(weighed(parts, layer.weight), whole @ layer.weight.T)
    torch.testing.assert_close(deep(parts), deep.score(whole))


def test_weighed_parts_are_float32():
    """Scores are made of them, so autocast leaves them alone."""
    parts, weights = (torch.randn(2, 1, 4), torch.randn(2, 3, 2).bfloat16()), torch.randn(5, 6)
    wanted = weighed(parts, weights)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(weighed(parts, weights), wanted)


@pytest.mark.parametrize("places", [1, 3])
def test_inner_products_are_those_of_every_two_fields(places):
    """Of the user alone, then user with item, then item with item."""
    of_user, of_item = torch.randn(2, places, 3, 4), torch.randn(2, 3, 2, 4)
    own, rest = inner_products(of_user, of_item)
    users, items = of_user[1, -1], of_item[1, 2]
    wanted = [users[0] @ users[1], users[0] @ users[2], users[1] @ users[2]]
    torch.testing.assert_close(own[1, -1], torch.stack(wanted))
    wanted = [user @ item for item in items for user in users] + [items[0] @ items[1]]
    torch.testing.assert_close(rest[1, 2], torch.stack(wanted))
