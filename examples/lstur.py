"""LSTUR (An et al., 2019): titles joined with genres; a GRU over recent clicks that starts from who the user is."""

from lego import CNN, LSTUR, Concat, Dot, Experiment, Lookup, MovieLens, PretrainedTokens, Recommender

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    model=Recommender(
        # Each part is fed with what it reads: the convolution with the words of `reads`, the table with the codes of the genres.
        content=Concat(CNN(), Lookup("genres")),
        # A user that training does not have starts from zeros, so new users are served by their clicks alone.
        behavior=LSTUR("ini"),
        predictor=Dot(),
        reads={"title": 30},
        tokens=PretrainedTokens("sentence-transformers/all-MiniLM-L6-v2"),
    ),
)
