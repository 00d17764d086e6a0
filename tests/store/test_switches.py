"""What an operator made of workflows."""

from sqlalchemy import Engine

from followup.core.workflow import WorkflowStatus
from followup.store import bundles, switches
from followup.store.engine import writing
from tests.store.make import START, at

PAUSED, ARCHIVED = WorkflowStatus.PAUSED, WorkflowStatus.ARCHIVED


def test_a_workflow_is_switched_and_switched_back(engine: Engine) -> None:
    with writing(engine) as conn:
        switches.set_(conn, "care", PAUSED, reason="a moment", now=START)
        switches.set_(conn, "care", ARCHIVED, reason="for good", now=at(1))
        assert switches.current(conn) == {"care": switches.Switch(ARCHIVED, "for good", at(1))}
        assert switches.lift(conn, "care")
        assert not switches.lift(conn, "care")
        assert switches.current(conn) == {}


def test_what_is_switched_is_read_along_with_what_runs(engine: Engine) -> None:
    with writing(engine) as conn:
        assert bundles.newest_and_switched(conn) == (None, {})
        bundles.add(conn, "h", {}, now=START)
        assert bundles.newest_and_switched(conn) == ("h", {})
        switches.set_(conn, "care", PAUSED, reason="", now=START)
        switches.set_(conn, "arrived", ARCHIVED, reason="", now=START)
        assert bundles.newest_and_switched(conn) == ("h", {"arrived": ARCHIVED, "care": PAUSED})
