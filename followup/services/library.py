"""What was applied, ready to use: the newest bundle and the versions that enrollments are pinned to."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from followup.authoring.bundle import Bundle, load_applied, load_workflow
from followup.core.transfer import matches
from followup.core.workflow import Workflow, WorkflowStatus
from followup.errors import ConfigurationError
from followup.store import bundles


def version_of(bundle: Bundle, name: str) -> tuple[str, str]:
    """Return the content hash and the YAML of one workflow of *bundle*."""
    source = bundle.files[f"workflows/{name}.yaml"]
    return hashlib.sha256(source.encode()).hexdigest(), source


def as_switched(bundle: Bundle, switched: Mapping[str, WorkflowStatus]) -> Bundle:
    """Return *bundle* as it runs where operators have *switched* workflows: that stands above their files."""
    workflows = {
        name: replace(workflow, status=switched.get(name, workflow.status))
        for name, workflow in bundle.workflows.items()
    }
    return replace(bundle, workflows=workflows, switched=switched)


class Library:
    """
    Reads bundles from the database, never from the disk, and keeps what it has compiled.

    One per process, for all of its threads; every use asks the database which bundle is the newest, which is
    one indexed row.
    """

    def __init__(self, known: Bundle | None = None) -> None:
        """Take *known* for the bundle of its hash, instead of reading that one from the database."""
        self._bundle = known  # as it was applied
        self._runs: tuple[Bundle, Mapping[str, WorkflowStatus], Bundle] | None = None  # applied, switched, both
        self._versions: dict[int, Workflow] = {}
        self._hashes: dict[int, str] = {}  # by version
        self._matches: tuple[str, dict[int, Mapping[str, str]]] = ("", {})  # of a bundle: by version
        self._current: tuple[str, Mapping[str, str]] = ("", {})  # of a bundle: the content hash of each workflow

    def newest(self, conn: Connection) -> Bundle:
        """
        Return the bundle that runs.

        Raises:
            ConfigurationError: nothing was applied yet.
        """
        bundle = self.find_newest(conn)
        if bundle is None:
            raise ConfigurationError("no workflows were applied yet", hint="Run: followup apply")
        return bundle

    def find_newest(self, conn: Connection) -> Bundle | None:
        """
        Return the bundle that runs, or None when nothing was applied yet.

        The status of a workflow is what an operator made of it, else what its file says.
        """
        newest, switched = bundles.newest_and_switched(conn)
        if newest is None:
            return None
        bundle = self._applied(conn, newest)
        return self._switched(bundle, switched) if switched else bundle

    def as_applied(self, conn: Connection) -> Bundle:
        """
        Return the bundle that runs as its files have it, whatever an operator has switched since.

        Raises:
            ConfigurationError: nothing was applied yet.
        """
        return self._applied(conn, self.newest(conn).hash)

    def _applied(self, conn: Connection, newest: str) -> Bundle:
        bundle = self._bundle  # another thread may exchange it for a newer one meanwhile
        if bundle is None or bundle.hash != newest:
            bundle = self._bundle = load_applied(bundles.load(conn, newest).files)
        return bundle

    def _switched(self, bundle: Bundle, switched: Mapping[str, WorkflowStatus]) -> Bundle:
        known = self._runs
        if known is not None and known[0] is bundle and known[1] == switched:
            return known[2]
        runs = as_switched(bundle, switched)
        self._runs = (bundle, switched, runs)
        return runs

    def is_current(self, conn: Connection, bundle: Bundle, name: str, version_id: int) -> bool:
        """Tell whether a version of the workflow *name* is the one in *bundle*."""
        if version_id not in self._hashes:
            self._hashes[version_id] = bundles.version_hash(conn, version_id)
        of, hashes = self._current
        if of != bundle.hash:
            hashes = {one: version_of(bundle, one)[0] for one in bundle.workflows}
            self._current = (bundle.hash, hashes)
        return hashes.get(name) == self._hashes[version_id]

    def matches(self, conn: Connection, version_id: int, bundle: Bundle, name: str) -> Mapping[str, str]:
        """Return which step of a version is which in *bundle*'s version of the workflow *name* (core.transfer)."""
        of, known = self._matches
        if of != bundle.hash:
            known = {}
            self._matches = (bundle.hash, known)
        if version_id not in known:
            known[version_id] = matches(self.workflow(conn, version_id), bundle.workflows[name])
        return known[version_id]

    def workflow(self, conn: Connection, version_id: int) -> Workflow:
        """Return a workflow as it was when the enrollment entered it."""
        if version_id not in self._versions:
            self._versions[version_id] = load_workflow(*bundles.version_source(conn, version_id))
        return self._versions[version_id]
