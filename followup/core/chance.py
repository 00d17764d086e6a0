"""
Chance that is the same every time: who is held out, and which way a customer takes through a split.

A hash of what is asked and of the customer decides, so nothing has to be stored, a second entry falls out like
the first, and two questions fall out independently of each other.
"""

import hashlib
from collections.abc import Sequence

from followup.core.workflow import Split, Variant, Workflow

HOLDOUT = "holdout"


def share(workflow: str, question: str, customer_id: int) -> float:
    """Return a number from 0 (inclusive) to 1 (exclusive) for a customer, evenly spread over customers."""
    digest = hashlib.sha256(f"{workflow}\n{question}\n{customer_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / (1 << 64)


def is_held_out(workflow: Workflow, customer_id: int) -> bool:
    """Tell whether the customer is one of those who get nothing and are measured."""
    return share(workflow.name, HOLDOUT, customer_id) < workflow.holdout


def variant_of(workflow: Workflow, split: Split, customer_id: int) -> Variant:
    """Return the variant a customer takes: of equal weights, each as likely."""
    return _at(split.variants, share(workflow.name, f"split:{split.name}", customer_id))


def _at(variants: Sequence[Variant], where: float) -> Variant:
    total = sum(variant.weight for variant in variants)
    passed = 0
    for variant in variants:
        passed += variant.weight
        if where * total < passed:
            return variant
    return variants[-1]  # rounding, at the very end
