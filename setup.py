"""Packages the folders that stand beside `bench/` in a checkout; all else is in setup.cfg."""

from setuptools import find_packages, setup

# A checkout keeps weights and published suites at its top, where people look for them; a wheel
# carries them inside the package, so that an installed `bench` works from any directory.
SHIPPED = {
    "bench._checkpoints": ("checkpoints", ["*/*.safetensors", "*/*.json"]),
    "bench._leaderboard": ("leaderboard", ["*/suite.json"]),
}

setup(
    packages=[*find_packages(include=["bench", "bench.*"]), *SHIPPED],
    package_dir={package: folder for package, (folder, _) in SHIPPED.items()},
    package_data={
        "bench": ["py.typed"],
        "bench.data.datasets": ["*.txt"],
        "bench.leaderboard.pages.html": ["*.html", "*.css", "*.js", "vendor/*"],
        **{package: patterns for package, (_, patterns) in SHIPPED.items()},
    },
    exclude_package_data={"bench._checkpoints": ["*-r18/*"]},  # 20 MB each: in a checkout alone
)
