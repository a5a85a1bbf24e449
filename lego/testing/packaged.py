"""What holds for every checkpoint that a package ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lego import catalog
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import shape_of


class CheckpointTests:
    """`name` is that of the entry point of the group `lego.checkpoint`: the hub id that scripts write."""

    name = ""

    @pytest.fixture
    def found(self) -> Any:
        """What the entry leads to."""
        return catalog.load("checkpoint", self.name)

    @pytest.fixture
    def place(self, found: Any) -> Path:
        """Where the files are."""
        place = found.find()
        if place is None:
            pytest.skip(f"{self.name} is not installed")
        assert isinstance(place, Path)
        return place

    def test_it_is_a_folder_or_a_gguf_file(self, found: Any, place: Path) -> None:
        """It is there, and is the same each time."""
        assert place.is_dir() or (place.is_file() and place.suffix == ".gguf")
        assert found.find() == place

    def test_finding_it_runs_no_code_of_its_package(self, found: Any) -> None:
        """A package of weights is looked into, and not imported."""
        package = str(getattr(found, "package", "")).partition(".")[0]
        program = (
            f"import sys\nfrom lego import catalog\ncatalog.load('checkpoint', {self.name!r}).find()\n"
            f"print({package!r} in sys.modules)"
        )
        # Our own interpreter, on a program of ours.
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
        assert done.stdout.strip() == "False"

    def test_its_name_is_enough_to_open_it(self, place: Path) -> None:
        """`Pretrained(NAME)` finds the files of the package, without a network, and their shape can be read."""
        checkpoint = resolve(self.name, download=False)
        shape = shape_of(checkpoint)
        assert checkpoint.origin.startswith("package")
        assert min(shape.hidden, shape.layers, shape.positions) > 0
