"""Datasets: by name, from a file or from a folder, always checked.

>>> from bench import data
>>> data.load("digits").shape
(1, 8, 8)
"""

from bench.data.classes import advice
from bench.data.dataset import Dataset, DatasetSpec, Split
from bench.data.files import FileExamples
from bench.data.loading import DATASETS, FOLDER, is_own, load, names, own_stem
from bench.data.preprocessing import Preprocessing
from bench.data.selection import select

__all__ = [
    "DATASETS",
    "FOLDER",
    "Dataset",
    "DatasetSpec",
    "FileExamples",
    "Preprocessing",
    "Split",
    "advice",
    "is_own",
    "load",
    "names",
    "own_stem",
    "select",
]
