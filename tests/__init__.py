"""The tests, arranged like the source.

`tests/ROOM/test_FILE.py` tests `src/blue_green/ROOM/FILE.py`, from its functions up to what it adds
to a running site; `test_FILE_ASPECT.py` takes one aspect out of a long file, and `test_ROOM.py` is
for the room's `__init__.py`. A behaviour that several files of a room produce together, such as
retries in the proxy, has a file in that room, named after the behaviour. A behaviour that only the
whole program shows, with a real supervisor, git and apps, is in `end_to_end`, named after the
behaviour as a user would call it. `docs` and `deploy` test the directories of those names, and
`structure` holds rules for the source and the tests themselves (this one, for example).

Libraries: `raw` (the proxy in this process, between raw connections), `support` (a real site and
what its tests need), `apps` (what the sites run) and `waiting`. Programs, run with `python -m`:
`tests.faults`, `tests.hostile`, `tests.soak`, `tests.late`, `tests.bench`, and `tests.docs`, which
writes `docs/settings.md`.
"""

import os
import sys

# The tests start hundreds of Python programs. Where this is set, as in many containers, each of
# them would compile everything that it imports again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
