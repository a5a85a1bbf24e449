"""Table 2 of the paper (Liu et al. 2025, https://arxiv.org/abs/2412.15973): its rows as expressions, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

AUGMENTED = "{'llm_title': 30, 'category': 1}"
"""What the augmented rows read: titles that a language model rewrote, and the category."""


@attrs.frozen
class Row:
    """A row of the table."""

    name: str
    """As the paper prints it."""
    entry: str
    """The model of the zoo."""
    text: str
    """The expression that makes it."""
    auc: float
    mrr: float
    ndcg: float
    """The paper's AUC, MRR and nDCG@5 on MIND (small), in percent."""
    needs: str = ""
    """What it needs beyond items with a text, in words."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The paper's numbers under the names of the metrics here. It groups by user; its MRR counts every click."""
        return {"gauc": self.auc, "mrr_all": self.mrr, "ndcg@5": self.ndcg}


def _row(name: str, entry: str, numbers: tuple[float, float, float], more: str = "", needs: str = "") -> Row:
    arguments = ", ".join(part for part in ("setting='table2'", more) if part)
    return Row(name, entry, f"zoo.{entry}({arguments})", *numbers, needs)


_BERT = "google-bert/bert-base-uncased"
_LLAMA = "LLaMA with adapters"
_GENERATED = "the attribute llm_title"

ROWS: tuple[Row, ...] = (
    _row("NAML_ID", "naml_id", (50.13, 23.01, 22.35)),
    _row("DCN_ID", "dcn", (53.92, 25.18, 24.43)),
    _row("DIN_ID", "din", (55.95, 25.88, 25.95)),
    _row("DCN_text", "dcn_text", (62.63, 29.73, 30.52)),
    _row("DIN_text", "din_text", (62.90, 30.06, 30.65)),
    _row("NAML", "naml", (61.75, 30.60, 31.35)),
    _row("NRMS", "nrms", (61.71, 30.20, 30.98)),
    _row("Fastformer", "fastformer", (62.26, 31.14, 31.90)),
    _row("PLM-NR", "plm_nr", (64.08, 31.24, 32.35), needs=_BERT),
    _row("MINER", "miner", (63.88, 32.19, 33.04), needs=_BERT),
    _row("DIRE", "dire", (68.50, 36.21, 38.11), needs=_LLAMA),
    _row(
        "DIRE, decoupled",
        "dire_decoupled",
        (68.10, 35.33, 36.91),
        "vectors='llama.parquet'",
        "vectors that LLaMA made",
    ),
    _row("DCN_text + GPT", "dcn_text", (65.77, 32.86, 34.10), f"reads={AUGMENTED}", _GENERATED),
    _row("NAML + GPT", "naml", (63.88, 32.17, 33.14), f"reads={AUGMENTED}", _GENERATED),
    _row("NRMS + GPT", "nrms", (63.71, 32.14, 33.11), f"reads={AUGMENTED}", _GENERATED),
    _row("PLM-NR + GPT", "plm_nr", (65.13, 32.98, 34.30), f"reads={AUGMENTED}", f"{_GENERATED}, {_BERT}"),
    _row(
        "ONCE",
        "once",
        (68.74, 36.66, 38.60),
        f"reads={AUGMENTED}, profiles=('llm_topics', 'llm_region')",
        f"{_GENERATED}, profiles of users, {_LLAMA}",
    ),
)
"""The 17 rows, in the paper's order."""
