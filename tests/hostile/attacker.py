"""The process that attacks: one kind of attack, until it is ended. It prints when it begins."""

import os
import sys

import trio

from tests.hostile.table import ATTACKS
from tests.hostile.target import TargetSite

BEGUN = "begun"

if __name__ == "__main__":
    os.nice(10)
    (kind,) = [kind for kind in ATTACKS if kind.name == sys.argv[2]]
    print(BEGUN, flush=True)
    trio.run(kind.attack, TargetSite.from_json(sys.argv[1]))
