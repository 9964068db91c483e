"""What the row tells its readers about the model."""

from __future__ import annotations

from bench.models import Adapted, LoadedModel, OnnxModel
from bench.row import Card

__all__ = ["card_of"]


def card_of(model: LoadedModel) -> Card:
    """The card of a model: from the zoo and its manifest where it has them, else from the module itself."""
    spec, manifest = model.spec, model.manifest
    module = model.module.module if isinstance(model.module, Adapted) else model.module
    return Card(
        title=spec.title if spec is not None else model.name,
        reference=spec.paper if spec is not None else "",
        architecture=manifest.architecture.name if manifest is not None else type(module).__name__,
        n_parameters=(
            module.n_parameters
            if isinstance(module, OnnxModel)
            else sum(parameter.numel() for parameter in module.parameters())
        ),
        # Every recipe trains on the dataset's own split alone; of other weights nothing is known.
        extra_data="no" if spec is not None and manifest is not None else None,
        epochs=manifest.epochs if manifest is not None else None,
        remarks=model.remarks,
    )
