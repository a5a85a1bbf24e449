from __future__ import annotations

import numpy as np
import torch

from lego.behavior.history import History
from lego.behavior.lstur import LSTUR
from lego.behavior.time_decay import TimeDecay
from lego.contract import Form, Need, Needs
from lego.sequence.attention import Attention
from lego.sequence.mean import Mean
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=4, input_width=4, length=3, users=5)
MASK = torch.tensor([[True, True, True], [True, False, False]])
TIMES = torch.tensor([[86_400, 3, 0], [7, 0, 0]])


class TestTimeDecay(BehaviorTests):
    specs = (*TimeDecay.examples(), TimeDecay(Mean()), TimeDecay(LSTUR(hidden=8), half_life=0.1, kind="both"))

    def test_decay_halves_in_a_half_life(self):
        """Each click times 2^(−gap / half-life), at every real place; a half-life is a day here."""
        module = TimeDecay(History(), kind="decay", half_life=1).build(CONTEXT).eval()
        history = torch.randn(2, 3, 4)
        found = module(history, MASK, Needs(times=TIMES)).tensor.detach().numpy()
        share = 0.5 ** (TIMES.numpy() / 86_400)
        assert share[0, 0] == 0.5
        wanted = history.numpy() * share[..., None] * MASK.numpy()[..., None]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)

    def test_embedding_adds_the_vector_of_the_gap(self):
        """⌊log₂(gap + 1)⌋ is the row: 16 for a day, 2 for three seconds, 0 for none, 3 for seven seconds."""
        module = TimeDecay(History()).build(CONTEXT).eval()
        history = torch.randn(2, 3, 4)
        found = module(history, MASK, Needs(times=TIMES)).tensor
        torch.testing.assert_close(found[0], history[0] + module.table.weight[[16, 2, 0]])
        torch.testing.assert_close(found[1, 0], history[1, 0] + module.table.weight[3])
        assert not found[1, 1:].any()

    def test_is_like_what_it_wraps(self):
        """It needs times on top of what its operator needs, and gives and reads what that does."""
        assert TimeDecay(LSTUR()).needs == {Need.TIMES, Need.USER}
        assert TimeDecay(Mean()).gives is Form.VECTOR
        assert TimeDecay(Attention(pool=None)).gives is Form.SEQUENCE
        (problem,) = TimeDecay(Attention(heads=3)).problems(64, "behavior=…")
        assert problem.where == "behavior=…, op=Attention(heads=3)"

    def test_other_times_another_user(self):
        """Two users with one history and other times are different users."""
        for kind in ("embedding", "decay", "both"):
            module = TimeDecay(Mean(), kind=kind).build(CONTEXT).eval()
            history = torch.randn(1, 3, 4)
            found = [
                module(history, MASK[:1], Needs(times=times)).tensor for times in (TIMES[:1], TIMES[:1] * 9)
            ]
            assert not torch.allclose(*found)
