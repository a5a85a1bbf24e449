"""What holds for everything that makes token ids and first vectors of attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from lego.ragged import Ragged
from lego.spec import Context
from lego.testing.suite import SpecTests, build

WIDTH = 8


class TokensTests(SpecTests):
    """Columns → an encoder → ids → vectors."""

    @pytest.fixture
    def columns(self) -> dict[str, pa.ChunkedArray]:
        """Titles in two chunks, one of them missing and one empty; categories; lists."""
        titles = [["Red fox, blue sea", None], ["The red sea", "", "Fox"]]
        return {
            "title": pa.chunked_array(titles, pa.string()),
            "category": pa.chunked_array([pa.array(["a", "b", None, "a", "b"]).dictionary_encode()]),
            "tags": pa.chunked_array([[["x", "y"], [], None, ["x"], ["y"]]], pa.list_(pa.string())),
        }

    @pytest.fixture
    def encoder(self, spec: Any, columns: dict[str, pa.ChunkedArray]) -> Any:
        """Fitted to the columns."""
        return spec.fit(columns)

    def test_ids_are_below_the_size_of_the_vocabulary(
        self, encoder: Any, columns: dict[str, pa.ChunkedArray]
    ) -> None:
        """A row of int32 ids for each value, none of them padding; a missing value has none."""
        for name, values in columns.items():
            found = encoder.encode(name, values)
            assert isinstance(found, Ragged)
            assert found.values.dtype == np.int32
            assert len(found) == len(values)
            assert ((found.values > 0) & (found.values < encoder.vocab_size)).all()
            assert not found.lengths[values.is_null().to_numpy()].any()
        assert encoder.encode("title", columns["title"]).lengths[0] > 0

    def test_a_value_has_the_same_ids_wherever_it_stands(
        self, encoder: Any, columns: dict[str, pa.ChunkedArray]
    ) -> None:
        """Chunks and neighbours change nothing."""
        titles = columns["title"]
        whole = encoder.encode("title", titles)
        for row in range(len(titles)):
            assert encoder.encode("title", titles.slice(row, 1))[0].tolist() == whole[row].tolist()

    def test_what_is_saved_is_what_is_loaded(
        self, spec: Any, encoder: Any, columns: dict[str, pa.ChunkedArray], tmp_path: Path
    ) -> None:
        """The same ids and the same identity, from plain files."""
        encoder.save(tmp_path / "tokens")
        again = spec.load(tmp_path / "tokens")
        assert (again.identity, again.vocab_size) == (encoder.identity, encoder.vocab_size)
        for name, values in columns.items():
            assert again.encode(name, values).values.tolist() == encoder.encode(name, values).values.tolist()

    def test_attributes_are_joined_in_order(self, encoder: Any, columns: dict[str, pa.ChunkedArray]) -> None:
        """The ids of the parts stand in the whole, one part behind the other."""
        parts = [encoder.encode(name, columns[name]) for name in ("title", "tags")]
        whole = encoder.join(parts)
        assert len(whole) == len(parts[0])
        for row in range(len(whole)):
            wanted, found = [each for part in parts for each in part[row].tolist()], iter(whole[row].tolist())
            assert all(each in found for each in wanted), "the parts do not stand in the whole in order"

    def test_ids_become_vectors(self, spec: Any, encoder: Any) -> None:
        """ids (N, L) -> (N, L, W), the same for the same seed."""
        width = spec.width(WIDTH)
        context = Context(width=WIDTH, input_width=width, length=4, encoder=encoder)
        ids = torch.tensor([[1, encoder.vocab_size - 1, 0], [1, 0, 0]])
        first, second = (build(spec, context).eval()(ids) for _ in range(2))
        assert first.shape == (2, 3, width)
        assert torch.isfinite(first).all()
        assert torch.equal(first, second)
