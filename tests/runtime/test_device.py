from __future__ import annotations

import pytest
import torch

from lego.errors import RunError, SpecError
from lego.runtime.device import choose_device


def test_auto_takes_what_there_is():
    """An accelerator where there is one, else the processor; what is named is taken as it is."""
    there = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device() == there
    assert choose_device("cpu") == "cpu"


def test_a_word_that_is_no_device_is_wrong_use():
    """The sentence names those there are."""
    with pytest.raises(SpecError, match=r"'gpu' is no device. Use cpu, cuda, mps, cuda:1, or auto"):
        choose_device("gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is there")
def test_a_device_that_is_not_there_is_never_another_in_silence():
    """CUDA on a machine without one."""
    with pytest.raises(RunError, match="--device cuda is not there"):
        choose_device("cuda")
