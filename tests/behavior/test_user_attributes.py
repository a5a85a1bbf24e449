from __future__ import annotations

import attrs
import pytest
import torch

from lego.behavior.user_attributes import UserAttributes
from lego.contract import Needs
from lego.errors import CompositionError
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=4, input_width=4, length=5, user_vocabularies={"age": 4, "topics": 9})


class TestUserAttributes(BehaviorTests):
    operator = UserAttributes
    reads_history = False

    def test_equals_the_formula(self):
        """The mean of an attribute's values, attributes side by side through a linear layer; nothing known gives its bias."""
        module = UserAttributes().build(CONTEXT).eval()
        profile = {"age": torch.tensor([[2], [0]]), "topics": torch.tensor([[8, 1, 0], [0, 0, 0]])}
        found = module(
            torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool), Needs(profile=profile)
        ).tensor
        age, topics = (table.weight for table in module.tables)
        wanted = module.join(torch.cat([age[2], (topics[8] + topics[1]) / 2]))
        torch.testing.assert_close(found, torch.stack([wanted, module.join.bias]))

    def test_reads_those_it_names(self):
        """Another attribute has no table and is not asked for."""
        spec = UserAttributes(attributes=("age",))
        assert spec.user_attributes == ("age",)
        assert [len(table.weight) for table in spec.build(CONTEXT).tables] == [4]
        assert UserAttributes().user_attributes == ()

    def test_an_attribute_that_is_not_there_is_told(self):
        """With those that are, all at once; and users without any cannot be read."""
        with pytest.raises(
            CompositionError, match=r"'ages'.*\n.*Did you mean 'age'\? They have: age, topics"
        ) as caught:
            UserAttributes(attributes=("ages", "place")).build(CONTEXT)
        assert len(caught.value.problems) == 2
        with pytest.raises(CompositionError, match="no categorical attribute"):
            UserAttributes().build(attrs.evolve(CONTEXT, user_vocabularies={}))
