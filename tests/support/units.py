"""systemd's opinion of unit files."""

import re
import subprocess
import sys
from pathlib import Path


def problems_of_unit(text: str, path: Path) -> list[str]:
    """What `systemd-analyze verify` reports about a unit; the unit is written to `path`."""
    # It also looks for the program, which is not installed here: another one stands in for it.
    program = Path(sys.executable).resolve()
    path.write_text(re.sub(r"(?m)^(Exec\w+)=\S+", rf"\1={program}", text))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    # Unknown keys are reported with exit status 0, as are problems of other units.
    problems = (done.stdout + done.stderr).splitlines()
    ours = [line for line in problems if path.name in line]
    return ours or (problems if done.returncode else [])
