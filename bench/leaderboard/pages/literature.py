"""What others published, for orientation: numbers as RobustBench states them, not re-run here.

Source: RobustBench (github.com/RobustBench/robustbench), the files `model_info/<dataset>/<threat model>/<id>.json`:
clean accuracy and accuracy under AutoAttack, in percent, of the whole test split.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PUBLISHED", "Published", "published_for"]


class Published(NamedTuple):
    """A row that somebody else published.

    `clean` and `robust` are in percent; `note` says what differs from the table's heading.
    """

    name: str
    architecture: str
    clean: float
    robust: float
    extra_data: str
    note: str = ""


_CIFAR10_LINF = (
    Published("Standard", "WRN-28-10", 94.78, 0.00, "no"),
    Published("Wu2020Adversarial", "WRN-34-10", 85.36, 56.17, "no"),
    Published("Wu2020Adversarial_extra", "WRN-28-10", 88.25, 60.04, "yes"),
    Published("Huang2021Exploring", "WRN-34-R", 90.56, 61.56, "yes"),
    Published("Huang2021Exploring_ema", "WRN-34-R", 91.23, 62.54, "yes"),
    Published("Rice2020Overfitting", "WRN-34-20", 85.34, 53.42, "no", "reported by its authors: 58"),
    Published(
        "Zhang2019Theoretically", "WRN-34-10", 84.92, 53.08, "no", "epsilon 0.031; reported by its authors: 56.43"
    ),
    Published("Wang2020Improving", "WRN-28-10", 87.50, 56.29, "yes", "reported by its authors: 65.04"),
    Published("Carmon2019Unlabeled", "WRN-28-10", 89.69, 59.53, "yes"),
    Published("Engstrom2019Robustness", "ResNet-50", 87.03, 49.25, "no"),
    Published("Wong2020Fast", "PreActResNet-18", 83.34, 43.21, "no", "reported by its authors: 46.06"),
    Published("Andriushchenko2020Understanding", "PreActResNet-18", 79.84, 43.93, "no"),
    Published("Addepalli2021Towards_RN18", "ResNet-18", 80.24, 51.06, "no"),
    Published("Addepalli2022Efficient_RN18", "ResNet-18", 85.71, 52.48, "no"),
    Published("Addepalli2022Efficient_WRN_34_10", "WRN-34-10", 88.71, 57.81, "no"),
    Published("Rade2021Helper_R18_extra", "PreActResNet-18", 89.02, 57.67, "yes"),
    Published("Rade2021Helper_R18_ddpm", "PreActResNet-18", 86.86, 57.09, "1 M synthetic"),
    Published("Rebuffi2021Fixing_R18_ddpm", "PreActResNet-18", 83.53, 56.66, "1 M synthetic"),
    Published("Sehwag2021Proxy_R18", "ResNet-18", 84.59, 55.54, "10 M synthetic"),
    Published(
        "Gowal2021Improving_R18_ddpm_100m",
        "PreActResNet-18",
        87.35,
        58.63,
        "100 M synthetic",
        "58.50 with MultiTargeted",
    ),
    Published("Cui2020Learnable_34_10", "WRN-34-10", 88.22, 52.86, "no", "epsilon 0.031"),
)
_CIFAR10_L2 = (
    Published("Standard", "WRN-28-10", 94.78, 0.00, "no", "epsilon 0.5"),
    Published("Wu2020Adversarial", "WRN-34-10", 88.51, 73.66, "no", "epsilon 0.5"),
    Published("Rice2020Overfitting", "PreActResNet-18", 88.67, 67.68, "no", "epsilon 0.5"),
    Published("Engstrom2019Robustness", "ResNet-50", 90.83, 69.24, "no", "epsilon 0.5"),
    Published("Rade2021Helper_R18_ddpm", "PreActResNet-18", 90.57, 76.15, "1 M synthetic", "epsilon 0.5"),
    Published("Rebuffi2021Fixing_R18_cutmix_ddpm", "PreActResNet-18", 90.33, 75.86, "1 M synthetic", "epsilon 0.5"),
    Published("Sehwag2021Proxy_R18", "ResNet-18", 89.76, 74.41, "10 M synthetic", "epsilon 0.5"),
)
_CIFAR100_LINF = (
    Published("Wu2020Adversarial", "WRN-34-10", 60.38, 28.86, "no"),
    Published("Rice2020Overfitting", "PreActResNet-18", 53.83, 18.95, "no", "probably the last epoch, not the best"),
    Published("Addepalli2022Efficient_RN18", "ResNet-18", 65.45, 27.67, "no"),
    Published("Addepalli2022Efficient_WRN_34_10", "WRN-34-10", 68.75, 31.85, "no"),
    Published("Rebuffi2021Fixing_R18_ddpm", "PreActResNet-18", 56.87, 28.50, "1 M synthetic"),
    Published("Rade2021Helper_R18_ddpm", "PreActResNet-18", 61.50, 28.88, "1 M synthetic"),
    Published("Addepalli2021Towards_PARN18", "PreActResNet-18", 62.02, 27.14, "no"),
)

# (dataset, threat model) -> rows. RobustBench's L2 radius is 0.5; the papers' training code and this board use 128/255.
PUBLISHED: dict[tuple[str, str], tuple[Published, ...]] = {
    ("cifar10", "Linf:8/255"): _CIFAR10_LINF,
    ("cifar10", "L2:128/255"): _CIFAR10_L2,
    ("cifar10", "L2:1/2"): tuple(row._replace(note="") for row in _CIFAR10_L2),
    ("cifar100", "Linf:8/255"): _CIFAR100_LINF,
}


def published_for(dataset: str, threat_model: str) -> tuple[Published, ...]:
    """What others published for a question, most robust first; empty where nothing is known."""
    return tuple(sorted(PUBLISHED.get((dataset, threat_model), ()), key=lambda row: (-row.robust, row.name)))
