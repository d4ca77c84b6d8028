"""The faults: what each is called, in which phases it makes sense, and what follows from it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from tests.faults import how
from tests.faults.scene import EXCLUSIVE, OVERLAP, PHASES, Scene
from tests.faults.trials import TRIALS
from tests.faults.waking import WAKE

Step = Callable[[Scene], Awaitable[None]]
Places = Mapping[str, Sequence[str]]

ANY_PHASE = {"overlap": OVERLAP[1:], "exclusive": EXCLUSIVE[1:]}
WITH_CANDIDATE = {
    "overlap": ("build", "start", "probe", *TRIALS, "drain", "hand over", "soak", "retire"),
    "exclusive": ("build", "migrate", "start", "probe", "soak"),
}
WITH_OLD = {
    "overlap": ("build", "start", "probe", *TRIALS, "drain", "hand over", "soak", "retire"),
    "exclusive": ("build", "finish", "stop processes", "stop"),
}
WITH_BOTH = {"overlap": WITH_OLD["overlap"], "exclusive": ("build",)}
AT_PROBE = {"overlap": ("probe",), "exclusive": ("probe",)}
AT_SOAK = {"overlap": ("soak",), "exclusive": ("soak",)}

CRASH = frozenset({"502", "cut"})
"""A POST in flight is answered 502; an answer that had begun is cut."""
DOWN = frozenset({"503"})
"""Whoever has waited for a site to wake in vain, or comes a moment later."""
KILL = frozenset({"closed", "cut", "refused"})
STOP = frozenset({"503", "closed unseen", "refused"})
"""Whoever waits is told; an idle connection is closed, perhaps while a request is on its way."""

FAILED_BEFORE_SWITCH = dict.fromkeys(("build", "migrate", "start", "probe"), "failed")
FAILED_ON_TRIAL = {"canary": "reverted", "preview": "failed"}


@frozen
class Fault:
    """One thing that goes wrong."""

    name: str
    places: Places
    """The phases in which it may happen, for each strategy."""
    telling: tuple[str, str]
    """The strategy and the phase in which the default run has it happen."""
    happen: Step | None = None
    while_down: Step | None = None
    """What happens after the supervisor was killed, and before it is started again."""
    heal: Step | None = None
    """Take it away again, once the swap has ended."""
    new: Mapping[str, Any] = {}
    """How the new release behaves."""
    old: Mapping[str, Any] = {}
    """How the old release behaves."""
    allows: frozenset[str] = frozenset()
    """Outcomes of requests, besides 200, that follow from it."""
    ends: Mapping[str, str] = {}
    """The outcome of the swap by phase, where it is certain."""
    kind: str = ""
    """Two of one kind do not go together."""
    loses_state: bool = False
    """HEAD of the checkout is deployed in the end."""
    needs_disk: bool = False
    is_retried: bool = False
    """It is not the revision's fault: the swap is tried again, and then succeeds."""

    @property
    def ends_supervisor(self) -> bool:
        return self.kind == "end" or self.while_down is not None

    @property
    def is_harmless(self) -> bool:
        """Nothing at all follows from it."""
        return not (self.allows or self.ends)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "the new backend dies",
        WITH_CANDIDATE,
        ("overlap", "probe"),
        happen=how.new_dies,
        allows=CRASH,
        kind="new",
        ends={
            **FAILED_BEFORE_SWITCH,
            **FAILED_ON_TRIAL,
            "drain": "promoted",
            "retire": "promoted",
            "hand over": "reverted",
            "soak": "reverted",
        },
    ),
    Fault(
        "the old backend dies",
        WITH_OLD,
        ("overlap", "drain"),
        happen=how.old_dies,
        allows=CRASH,
        kind="old",
        ends=dict.fromkeys(OVERLAP + EXCLUSIVE, "promoted"),
    ),
    Fault(
        "a process of the new release dies",
        {"overlap": ("soak",), "exclusive": ("soak",)},
        ("overlap", "soak"),
        happen=how.new_process_dies,
        kind="new",
        ends={"soak": "reverted"},
    ),
    Fault(
        "a process of the old release dies",
        WITH_OLD,
        ("overlap", "hand over"),
        happen=how.old_process_dies,
        kind="old process",
        ends=dict.fromkeys(OVERLAP + EXCLUSIVE, "promoted"),
    ),
    Fault(
        "both backends die",
        WITH_BOTH,
        ("overlap", "canary"),
        happen=how.both_die,
        allows=CRASH,
        kind="old",
        ends={
            **FAILED_BEFORE_SWITCH,
            **FAILED_ON_TRIAL,
            "drain": "promoted",
            "retire": "promoted",
            "hand over": "reverted",
            "soak": "reverted",
        },
    ),
    Fault(
        "the supervisor is killed",
        ANY_PHASE,
        ("overlap", "retire"),
        happen=how.supervisor_is_killed,
        allows=KILL,
        kind="end",
    ),
    Fault(
        "the supervisor gets SIGTERM",
        ANY_PHASE,
        ("exclusive", "start"),
        happen=how.supervisor_is_stopped,
        allows=STOP,
        kind="end",
    ),
    Fault(
        "the disk is full when a release is made",
        {"overlap": ("checkout",), "exclusive": ("checkout",)},
        ("overlap", "checkout"),
        happen=how.disk_is_full,
        heal=how.disk_has_room,
        kind="disk",
        needs_disk=True,
        ends={"checkout": "failed"},
        is_retried=True,
    ),
    Fault(
        "the disk is full when the state is written",
        {
            "overlap": ("probe", *TRIALS, "drain", "soak", "retire", WAKE),
            "exclusive": ("probe", "soak"),
        },
        ("overlap", "drain"),
        happen=how.disk_is_full,
        heal=how.disk_has_room,
        kind="disk",
        needs_disk=True,
        ends=dict.fromkeys(OVERLAP[2:], "promoted"),
    ),
    Fault(
        "the state file cannot be written",
        {
            "overlap": ("build", "probe", *TRIALS, "retire", WAKE),
            "exclusive": ("build", "probe", "soak"),
        },
        ("exclusive", "probe"),
        happen=how.state_is_unwritable,
        heal=how.state_is_writable,
        ends=dict.fromkeys(OVERLAP[1:], "promoted"),
        kind="state",
    ),
    Fault(
        "the state file is truncated",
        ANY_PHASE,
        ("overlap", "start"),
        while_down=how.state_is_truncated,
        allows=KILL,
        kind="state",
        loses_state=True,
    ),
    Fault(
        "the state file is garbage",
        AT_PROBE,
        ("overlap", "probe"),
        while_down=how.state_is_garbage,
        allows=KILL,
        kind="state",
        loses_state=True,
    ),
    Fault(
        "the state file is of a newer version",
        AT_PROBE,
        ("exclusive", "probe"),
        while_down=how.state_is_newer,
        allows=KILL,
        kind="state",
        loses_state=True,
    ),
    Fault(
        # The clock itself is everybody's; this is what it leaves behind when it is set back.
        "what is remembered is from the future",
        AT_PROBE,
        ("exclusive", "soak"),
        while_down=how.memory_is_of_the_future,
        allows=KILL,
        kind="state",
    ),
    Fault(
        "a stale socket is in the way",
        AT_PROBE,
        ("overlap", "build"),
        while_down=how.socket_is_stale,
        allows=KILL,
    ),
    Fault(
        "a control client says nothing",
        ANY_PHASE,
        ("overlap", "probe"),
        happen=how.client_is_silent,
        heal=how.client_leaves,
    ),
    Fault(
        "a control client sends garbage",
        ANY_PHASE,
        ("overlap", "probe"),
        happen=how.client_sends_garbage,
    ),
    Fault(
        "a control client sends half a line",
        ANY_PHASE,
        ("overlap", "probe"),
        happen=how.client_sends_half_a_line,
    ),
    Fault(
        "a control client sends a megabyte",
        ANY_PHASE,
        ("overlap", "probe"),
        happen=how.client_sends_a_megabyte,
    ),
    Fault(
        "whoever asked for the swap goes away",
        ANY_PHASE,
        ("overlap", "probe"),
        happen=how.asker_leaves,
    ),
    Fault(
        "a second supervisor is started",
        ANY_PHASE,
        ("overlap", "probe"),
        happen=how.second_supervisor,
    ),
    Fault(
        "another user asks",
        AT_PROBE,
        ("overlap", "probe"),
        happen=how.another_user_asks,
    ),
    Fault(
        "the candidate's port is stolen when it has died",
        {"overlap": ("probe",), "exclusive": ("probe",)},
        ("overlap", "probe"),
        happen=how.port_is_stolen,
        heal=how.port_is_given_back,
        ends=FAILED_BEFORE_SWITCH,
        is_retried=True,
        kind="new",
    ),
    Fault(
        "the backend dies while the site wakes",
        {"overlap": (WAKE,), "exclusive": ()},
        ("overlap", WAKE),
        happen=how.new_dies,
        allows=DOWN,
        kind="new",
    ),
    Fault(
        "a stranger takes the port of a site that wakes",
        {"overlap": (WAKE,), "exclusive": ()},
        ("overlap", WAKE),
        happen=how.port_is_stolen,
        heal=how.port_is_given_back,
        allows=DOWN,
        kind="new",
    ),
    Fault(
        "a stranger takes the port of a slow candidate",
        {"overlap": ("start",), "exclusive": ("start",)},
        ("overlap", "start"),
        happen=how.port_is_taken,
        heal=how.port_is_given_back,
        ends=FAILED_BEFORE_SWITCH,
        is_retried=True,
        kind="new",
    ),
    Fault(
        "the app has written a database into its release",
        {"overlap": ("checkout", "build"), "exclusive": ("checkout", "build")},
        ("overlap", "build"),
        happen=how.data_is_in_the_release,
        heal=how.data_is_moved_away,
        ends=dict.fromkeys(("checkout", "build"), "failed"),
        is_retried=True,
        kind="disk",
    ),
    Fault(
        "the new backend forks away",
        {"overlap": ("start",), "exclusive": ("start",)},
        ("overlap", "start"),
        new={"forks_away": True},
        ends=FAILED_BEFORE_SWITCH,
        kind="new",
    ),
    Fault(
        "the new backend hides as a daemon",
        {"overlap": ("start",), "exclusive": ("start",)},
        ("exclusive", "start"),
        new={"hides": True},
        ends=FAILED_BEFORE_SWITCH,
        kind="new",
    ),
    Fault(
        "the new release has read-only directories",
        {"overlap": ("build",), "exclusive": ("build",)},
        ("overlap", "build"),
        new={"read_only": True},
        ends={"build": "promoted"},
    ),
    Fault(
        "the old backend ignores SIGTERM",
        {"overlap": ("build",), "exclusive": ("build",)},
        ("overlap", "build"),
        old={"ignores_sigterm": True},
        ends={"build": "promoted"},
    ),
    Fault(
        "event streams are open",
        {"overlap": ("build", "start", "probe"), "exclusive": ("build",)},
        ("exclusive", "build"),
        happen=how.streams_are_open,
        heal=how.streams_have_ended,
        ends={"build": "promoted", "start": "promoted", "probe": "promoted"},
        kind="clients",
    ),
    Fault(
        "clients read and write slowly",
        {"overlap": ("build", "start", "probe"), "exclusive": ()},
        ("overlap", "probe"),
        happen=how.clients_are_slow,
        heal=how.clients_leave,
        ends={"build": "promoted", "start": "promoted", "probe": "promoted"},
        kind="clients",
    ),
    Fault(
        "the new backend writes 30 MB of output",
        AT_SOAK,
        ("overlap", "soak"),
        new={"says": {"bytes": 30_000_000, "line": 1000}},
        happen=how.it_has_talked,
        ends={"soak": "promoted"},
        kind="output",
    ),
    Fault(
        "the new backend writes a line of 10 MB",
        AT_SOAK,
        ("exclusive", "soak"),
        new={"says": {"bytes": 10_000_000, "line": 10_000_000}},
        happen=how.it_has_talked,
        ends={"soak": "promoted"},
        kind="output",
    ),
    Fault(
        "the new backend closes its standard output",
        AT_SOAK,
        ("overlap", "soak"),
        new={"closes_stdout": True},
        ends={"soak": "promoted"},
        kind="output",
    ),
)

assert all(
    phase in PHASES[strategy]
    for fault in FAULTS for strategy, phases in fault.places.items() for phase in phases
)  # fmt: skip
