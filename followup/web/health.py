"""What platforms and monitoring ask: is the process there, can it work, how do things stand."""

import hmac
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from followup.errors import ConfigurationError, FollowupError
from followup.services.measure import Measures, has_work, measure
from followup.web.site import Site

_UNCACHED = {"Cache-Control": "no-store"}


def routes(site: Site) -> list[BaseRoute]:
    """Return ``/healthz``, ``/readyz`` and ``/metrics``."""
    process = CollectorRegistry()  # of our own: the library's would hold whatever else is imported
    ProcessCollector(registry=process)
    PlatformCollector(registry=process)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok", headers=_UNCACHED)

    def readyz(_: Request) -> Response:
        found = _readiness(site)
        ready = all(state == "ok" for state in found.values())
        document = {"ready": ready, **found}
        return JSONResponse(document, status_code=200 if ready else 503, headers=_UNCACHED)

    def metrics(request: Request) -> Response:
        token = site.app.settings.metrics_token
        if token is None:
            return PlainTextResponse("Not Found", status_code=404)
        if not _may(request, token.get_secret_value()):
            headers = {"WWW-Authenticate": 'Bearer realm="metrics"'}
            return PlainTextResponse("a bearer token is needed", status_code=401, headers=headers)
        try:
            measures = measure(site.app.engine, now=site.app.clock.now())
        except FollowupError:
            return PlainTextResponse("the database cannot be used", status_code=503, headers=_UNCACHED)
        ours = CollectorRegistry()
        ours.register(_Gauges(measures, mode=site.app.settings.mode.value))
        text = generate_latest(ours) + generate_latest(process)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST} | _UNCACHED)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


def _readiness(site: Site) -> dict[str, str]:
    """Return what this process needs, each ``ok`` or what is wrong with it; nothing in it is secret."""
    try:
        applied = has_work(site.app.engine)
    except ConfigurationError:
        return {"database": "not upgraded", "workflows": "unknown"}
    except FollowupError:
        return {"database": "away", "workflows": "unknown"}
    if applied is None:
        return {"database": "not upgraded", "workflows": "unknown"}
    return {"database": "ok", "workflows": "ok" if applied else "none applied"}


def _may(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    scheme, _, credentials = given.partition(" ")
    known = hmac.compare_digest(credentials.strip().encode("latin-1"), token.encode())
    return scheme.lower() == "bearer" and known


class _Gauges:
    """One moment's measures as Prometheus reads them."""

    def __init__(self, measures: Measures, *, mode: str) -> None:
        self._measures, self._mode = measures, mode

    def collect(self) -> list[GaugeMetricFamily]:
        found = self._measures
        gauges = [
            _by(f"followup_{thing}", f"Number of {thing.replace('_', ' ')}, by state.", "state", counts)
            for thing, counts in found.counts.items()
        ]
        ages = {what: age.total_seconds() for what, age in found.ages.items()}
        halted = {scope: int(halted) for scope, halted in found.halted.items()}
        return [
            *gauges,
            _one("followup_oldest_due_seconds", "How long a letter is overdue.", found.oldest_due.total_seconds()),
            _one("followup_conversations_waiting", "Customers who wait for an answer from us.", found.waiting),
            _one("followup_longest_wait_seconds", "How long one has waited.", found.longest_wait.total_seconds()),
            _one("followup_alerts_open", "Alerts that stand.", found.alerts),
            _by("followup_last_seen_seconds", "Time since the last sweep, event or mail.", "what", ages),
            _by("followup_halted", "1 where letters stand still.", "scope", halted),
            _by("followup_mode_info", "1 for the mode this process is in.", "mode", {self._mode: 1}),
        ]


def _one(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=value)


def _by(name: str, what: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
