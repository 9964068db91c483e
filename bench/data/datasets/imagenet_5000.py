"""The 5,000 ImageNet validation images that RobustBench evaluates on, in RobustBench's order.

Source of the numbers in `imagenet_5000.txt`: robustbench 1.1.1, `helper_files/imagenet_test_image_ids.txt`, reduced to
the official numbers; copyright (c) 2020 Francesco Croce, Maksym Andriushchenko, Vikash Sehwag, MIT licence. They were
drawn at random, so that the first N are a fair sample too. Only these files need to be there, in folders of all 1,000
classes.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from bench.core import digest
from bench.core.errors import BenchError
from bench.data.dataset import DatasetSpec, FileContent, Split
from bench.data.datasets.imagenet import PREPROCESSING, THREAT_MODELS, content_of, find_numbered

__all__ = ["ENTRY", "numbers"]

_LIST = "imagenet_5000.txt"
_LIST_DIGEST = "4ecd026fc70a1624d412af92b535fb76e6b3584cc8242a7f87bd8cc6733d5cd2"


def numbers() -> tuple[int, ...]:
    """The official numbers of the images, from 1, in order.

    Raises:
        BenchError: if the list is not the one that bench was released with.
    """
    text = resources.files(__package__).joinpath(_LIST).read_text(encoding="ascii")
    found = tuple(int(word) for word in text.split())
    if digest.of_json(found) != _LIST_DIGEST:
        raise BenchError(f"The file {_LIST} of bench was changed. Install bench again.")
    return found


def _read(split: Split, data_dir: Path | None) -> FileContent:
    del split  # there is one
    found = find_numbered(data_dir)
    missing = next((number for number in numbers() if number not in found), None)
    if missing is not None:
        raise BenchError(f"Image ILSVRC2012_val_{missing:08d}.JPEG is missing. Unpack ILSVRC2012_img_val.tar again.")
    return content_of([found[number] for number in numbers()])


ENTRY = DatasetSpec(
    name="imagenet-5000",
    summary="RobustBench's 5,000 of the ImageNet validation photographs, 224x224, 1000 classes",
    read=_read,
    sizes={"test": 5000},
    threat_models=THREAT_MODELS,
    base="imagenet",
    preprocessing=PREPROCESSING,
)
