"""What strangers send stops and exhausts nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_a_thousand_malformed_inputs_are_answered(tmp_path: Path) -> None:
    """Rows, suites, pages, evidence, weights, data, journal entries, arguments: an exit code of the four for each.

    No traceback, nothing that hangs, no more than half a gibibyte beyond what torch takes, a minute of one core.
    """
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "malformed.py"), "0", "1000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["tried"] == 1000 and not found["wrong"], "\n\n".join(found["wrong"])
    assert found["most_bytes"] < 1 << 29
