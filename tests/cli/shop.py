"""A project with one workflow, its orders, and what its customers do; small enough to read the results whole."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

PEOPLE = """\
mara:
  name: Mara Lindqvist
  email: mara@shop.example
  signature: Mara
"""
SHOP = """\
name: Lindqvist
url: https://shop.example
postal_address: Hafenstr. 4, 20457 Hamburg
timezone: Europe/Berlin
"""
WORKFLOW = """\
workflow: after-arrival
title: Did it arrive well?
status: live
owner: mara
sender: mara
trigger:
  event: order.delivered
entry:
  only_if:
    - not order.is_gift
send_window:
  days: any day
  hours: 09:00-18:00
  timezone: customer
steps:
  - wait: 1 day
  - ask: arrived
    timeout: 5 days
    remind_after: 2 days
  - branch:
      - when: replied
        do:
          - wait: 1 day
          - send: thanks
"""
ASK = """\
---
subject: Did your {{ item.name }} arrive?
purpose: service
question:
  ask: Is everything in one piece?
  answers:
    good: Yes, all good
    broken: Something is broken
---
Hi {{ customer.first_name | default("there") }},

{{ question }}

{{ answers }}

{{ signature }}
"""
THANKS = """\
---
subject: Thank you
purpose: service
---
Good to hear.

{{ signature }}
"""
ACTS = """\
- order: A-1
  letter: arrived
  after: 2 hours
  answers: good
- order: A-2
  letter: arrived
  after: 3 hours
  replies: broken.eml
"""
REPLY = """\
From: Bo Ek <bo@example.com>
Subject: Re: Did your Jug arrive?
MIME-Version: 1.0
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 8bit

The lid is cracked, and I wanted it for Sunday.

Bo

On Wed, 4 Mar 2026 at 10:00, Mara Lindqvist <mara@shop.example> wrote:
> Is everything in one piece?
"""
FILES: Mapping[str, str] = {
    "workflows/people.yaml": PEOPLE,
    "workflows/shop.yaml": SHOP,
    "workflows/after-arrival.yaml": WORKFLOW,
    "templates/arrived.md": ASK,
    "templates/thanks.md": THANKS,
    "acts.yaml": ACTS,
    "broken.eml": REPLY,
}
HEADER = (
    "order_id,status,placed_at,delivered_at,email,first_name,last_name,country,timezone,currency,total,is_gift,"
    "product,quantity,price\n"
)
ORDERS = HEADER + (
    "A-1,delivered,2026-02-27T10:00:00Z,2026-03-02T09:00:00Z,ana@example.com,Ana,Ferreira,PT,Europe/Lisbon,EUR,"
    "40,,Cup,2,20\n"
    "A-2,delivered,2026-02-28T10:00:00Z,2026-03-03T09:00:00Z,bo@example.com,Bo,Ek,SE,Europe/Stockholm,SEK,"
    "400,,Jug,1,400\n"
    "A-3,delivered,2026-02-28T12:00:00Z,2026-03-03T10:00:00Z,cy@example.com,,,US,America/Chicago,USD,"
    "35.50,yes,Bowl,1,35.50\n"
)


def delivered_lately(count: int, *, days_ago: float = 1) -> str:
    """Return an orders file with *count* orders that were delivered so many days ago, for the real clock."""
    delivered = datetime.now(UTC) - timedelta(days=days_ago)  # noqa: TID251 - the worker reads the wall clock too
    placed = delivered - timedelta(days=3)
    return HEADER + "".join(
        f"L-{number},delivered,{placed.isoformat()},{delivered.isoformat()},l{number}@example.com,Lou,,DE,"
        "Europe/Berlin,EUR,20,,Cup,1,20\n"
        for number in range(1, count + 1)
    )
