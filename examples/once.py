"""ONCE, all of it: a language model improves the data, and a language model reads it (Liu et al. 2024).

Titles are written anew, users get profiles, users of whom little is known get movies that they might have seen. A language model
reads the titles; its lower layers are frozen and cached, the last one learns through adapters with the rest.

    lego run examples/once.py

The answers in `data/once_answers.jsonl` are those of SmolLM2, made by

    lego augment examples/once.py --set 'data.generator=LocalModel()' --answers examples/data/once_answers.jsonl

On MIND, where you have it (a graphics card helps): the same two commands with `examples/once.py:on_mind`, which reads
`examples/data/mind` unless `--set 'data.data.path="…"'` names another folder. SmolLM2 answers, or who `data.generator` names.
"""

from lego import (
    BERT,
    MIND,
    Attention,
    Augment,
    Concat,
    Dot,
    Experiment,
    Imagine,
    Matching,
    MovieLens,
    Profile,
    Recommender,
    Replay,
    Rewrite,
    Training,
    UserAttributes,
    lora,
    split,
)

MINILM = "sentence-transformers/all-MiniLM-L6-v2"

experiment = Experiment(
    data=Augment(
        # 45 of the 569 users, and the 10 latest items of a history: fewer items to read in a batch.
        MovieLens("data/ml-latest-small", users=45, history=10),
        title=Rewrite("{title}: {genres}", to="llm_title", words=20, most=100),
        profile=Profile("{title}: {genres}", to="llm_topics", recent=8, values=4),
        movie=Imagine("{title}: {genres}", gives=("title", "genres"), cold=12, profile=("llm_topics",)),
        generator=Replay("data/once_answers.jsonl"),
        missing="empty",  # where an answer did not fit, the original stands
    ),
    model=Recommender(
        content=BERT(MINILM, layers=split(5) | lora(rank=8)),
        behavior=Concat(Attention(), UserAttributes(attributes=("llm_topics",))),
        predictor=Dot(),
        reads={"llm_title": 30},
    ),
    task=Matching(negatives=4),
    # One pass is enough for a start from MiniLM; the layers that come from it learn slower than the new ones.
    training=Training(epochs=1, batch_size=64, lr=2e-3, pretrained_lr=1e-4),
)

on_mind = Experiment(
    data=Augment(
        MIND("data/mind", missing="drop"),
        title=Rewrite("{title} — {abstract}", to="llm_title"),
        profile=Profile("{title}", to=("llm_topics", "llm_region")),
        news=Imagine("({category}) {title}", gives=("title", "category"), cold=5, profile=("llm_topics",)),
        missing="empty",
    ),
    model=experiment.set(
        'model.behavior=Concat(Attention(), UserAttributes(attributes=("llm_topics", "llm_region")))'
    ).model,
    task=experiment.task,
    training=Training(epochs=3, patience=1, batch_size=64, lr=1e-3, pretrained_lr=1e-4),
)
