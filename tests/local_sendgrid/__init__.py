"""
A SendGrid of our own, on a real socket: it accepts, refuses, limits, hangs, breaks off, and calls back.

It shares no code with `followup.mail.sendgrid`: its ledger is the oracle that says which letters would have
left. Everything it can do wrong is in `behaviour.Behaviour`; `python -m tests.local_sendgrid` runs it by hand.
"""

from tests.local_sendgrid.behaviour import Behaviour
from tests.local_sendgrid.hooks import Signer, events_for, inbound_form, post_events, post_inbound
from tests.local_sendgrid.server import Entry, LocalSendGrid

__all__ = [
    "Behaviour",
    "Entry",
    "LocalSendGrid",
    "Signer",
    "events_for",
    "inbound_form",
    "post_events",
    "post_inbound",
]
