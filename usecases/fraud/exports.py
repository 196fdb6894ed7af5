"""Names of labels and columns in exports, used by an import and by its proposal."""

from shared.tasks.labels import LabelWords

LABEL_WORDS = LabelWords(
    positive=(
        "fraud", "fraudulent", "chargeback", "scam",
        "betrug", "betr\u00fcgerisch", "fraude", "frode", "frauduleux", "fraudulento",
    ),
    negative=(
        "legit", "legitimate", "genuine", "not fraud", "non-fraud", "nonfraud", "ok",
        "kein betrug", "in ordnung", "echt", "l\u00e9gitime", "leg\u00edtimo",
    ),
    columns=(
        "isfraud", "fraud", "txfraud", "fraudlabel", "fraudflag", "chargeback", "fraudulent",
        "fraudreported", "betrug", "fraude",
    ),
)  # fmt: skip
