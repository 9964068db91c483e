"""What a row tells its readers about the model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import nn

from bench import data, models
from bench.jobs.card import card_of
from bench.models.adapting import Adapted, Needs
from bench.row.record import Card
from bench.row.serialization import dump_row, load_row

FROZEN = Path(__file__).parent.parent / "row" / "frozen" / "record_v1.json"


def test_a_shipped_models_card_comes_from_the_zoo_and_its_manifest() -> None:
    """Title, paper, architecture, and every weight counted."""
    model = models.load("aw-net", dataset=data.load("digits"))
    card = card_of(model)
    assert (card.title, card.extra_data) == ("AW-Net", "no")
    assert "2306.03430" in card.reference and card.architecture.startswith("aw-")
    assert card.epochs == model.manifest.epochs == 30
    assert card.n_parameters == sum(weight.numel() for weight in dict(model.module.named_parameters()).values())


def test_nothing_is_claimed_for_a_users_model() -> None:
    """No paper, and no word on its training data."""
    module = nn.Linear(3, 2)
    model = models.LoadedModel(name="net.py:make", module=module, digest="", factory_digest="", num_classes=2)
    assert card_of(model) == Card(
        title="net.py:make", reference="", architecture="Linear", n_parameters=8, extra_data=None
    )


def test_what_was_done_to_load_and_ask_a_model_is_on_its_card() -> None:
    """The network itself is named, not what asks it, and a row without remarks has the text that it had."""
    module = Adapted(nn.Linear(3, 2), Needs(copies=True))
    said = ("Weights net.pth: taken from 'ema'.",)
    model = models.LoadedModel(
        name="net.py:make", module=module, digest="", factory_digest="", num_classes=2, remarks=said
    )
    card = card_of(model)
    assert (card.architecture, card.n_parameters, card.remarks) == ("Linear", 8, said)
    old = load_row(FROZEN.read_bytes())
    assert load_row(dump_row(dataclasses.replace(old, card=card))).card == card
    text = dump_row(dataclasses.replace(old, card=dataclasses.replace(card, remarks=())))
    assert "remarks" not in text and "epochs" not in text


def test_a_row_keeps_its_card_and_an_old_one_has_none() -> None:
    """Written, read back, and absent from the file of a row without."""
    old = load_row(FROZEN.read_bytes())
    card = Card(title="A", reference="B", architecture="C", n_parameters=1, extra_data=None)
    new = dataclasses.replace(old, card=card)
    assert old.card is None and "card" not in dump_row(old)
    assert load_row(dump_row(new)) == new
