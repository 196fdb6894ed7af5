"""How exports call what this use case learns: the words of an import and of its proposal."""

from shared.label_words import LabelWords

LABEL_WORDS = LabelWords(
    positive=("fraud", "fraudulent", "chargeback", "scam"),
    negative=("legit", "legitimate", "genuine", "not fraud", "non-fraud", "nonfraud", "ok"),
    columns=("isfraud", "fraud", "txfraud", "fraudlabel", "fraudflag", "chargeback"),
)
