"""What the Fraud Detection Handbook publishes for its protocol."""

from scheduler.replay.published import Published

HANDBOOK = Published(
    source=(
        "Le Borgne, Siblini, Lebichot, Bontempi: Reproducible Machine Learning for Credit Card "
        "Fraud Detection; means of four weekly folds, trained from 2018-07-25 to 2018-08-15 on"
    ),
    metrics=("auc", "average_precision", "card_precision_100"),
    rows={
        "decision tree, depth 2": (0.792, 0.542, 0.265),
        "logistic regression": (0.868, 0.623, 0.297),
        "random forest, 100 trees, depth 20": (0.870, 0.678, 0.299),
        "XGBoost": (0.869, 0.687, 0.303),
        "feed-forward network": (0.876, 0.675, 0.303),
        "LSTM with attention": (0.874, 0.667, 0.295),
    },
)
