"""Films as words of codes: titles → vectors of MiniLM → codes → a model that reads nothing but the codes.

python lego_plugins/semantic_ids/examples/coded.py
"""

import csv
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lego import Attention, Dot, Experiment, Matching, Mean, MovieLens, Recommender, Tables, Training

DATA = Path(__file__).resolve().parents[3] / "examples" / "data" / "ml-latest-small"
WORK = Path("semantic_ids")

# What `lego embed` reads: a script whose data has the items.
experiment = Experiment(
    data=MovieLens(str(DATA)),
    model=Recommender(content=Mean(), behavior=Attention(), predictor=Dot()),
)


def lego(*words: object) -> None:
    """The command line, in a process of its own."""
    subprocess.run([str(Path(sys.executable).with_name("lego")), *map(str, words)], check=True)  # noqa: S603 - words of ours


if __name__ == "__main__":
    WORK.mkdir(exist_ok=True)
    with (DATA / "movies.csv").open(encoding="utf-8") as file:
        films = list(csv.DictReader(file))
    items = pa.table(
        {"item_id": [each["movieId"] for each in films], "title": [each["title"] for each in films]}
    )
    pq.write_table(items, WORK / "items.parquet")
    checkpoint = "sentence-transformers/all-MiniLM-L6-v2"
    lego("embed", __file__, "--checkpoint", checkpoint, "--out", WORK / "vectors.parquet")
    lego(
        "semantic-ids",
        WORK / "vectors.parquet",
        "--items",
        WORK / "items.parquet",
        "--out",
        WORK / "coded.parquet",
    )
    Experiment(
        data=Tables(str(WORK / "coded.parquet"), rows=str(DATA / "ratings.csv"), above=3, history=20),
        model=Recommender(content=Mean(), behavior=Attention(), predictor=Dot(), reads={"semantic_id": 3}),
        task=Matching(),
        training=Training(epochs=2),
    ).run()
