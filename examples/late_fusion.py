"""Late fusion (Iana et al., 2023): no user encoder at all. The user is the mean of the clicked items; only the items learn."""

from lego import CNN, Experiment, Matching, MovieLens, PretrainedTokens, Training, zoo

TOKENS = PretrainedTokens("sentence-transformers/all-MiniLM-L6-v2")

experiment = Experiment(
    data=MovieLens("data/ml-latest-small", users=150, history=30),
    # Any news encoder stands below the mean: zoo.late_fusion(content=any_of(CNN(), Attention())) sweeps over two.
    model=zoo.late_fusion(content=CNN(), tokens=TOKENS),
    task=Matching(negatives=4),
    training=Training(epochs=3, lr=1e-3),
)
