"""Reading what a form posted, within bounds."""

import anyio
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message, Receive

LARGEST = 64 * 1024
MOST_FIELDS = 10
PATIENCE_SECONDS = 20


class Unreadable(Exception):
    """The form is too large, too slow, or none; ``status`` says which."""

    def __init__(self, status: int) -> None:
        super().__init__(f"unreadable form ({status})")
        self.status = status


async def read_form(request: Request) -> dict[str, str]:
    """
    Return the fields of an urlencoded or multipart form; of one given twice, the last.

    Raises:
        Unreadable: it is larger than ``LARGEST`` bytes, takes too long to arrive, holds files, or is malformed.
    """
    bounded = Request(request.scope, _bounded(request.receive))
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with bounded.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=LARGEST) as form:
                return {name: value for name, value in form.multi_items() if isinstance(value, str)}
    except TimeoutError as error:
        raise Unreadable(408) from error
    except (HTTPException, MultiPartException, ValueError) as error:  # strange charsets raise any UnicodeError
        raise Unreadable(400) from error


def _bounded(receive: Receive) -> Receive:
    """Return *receive* so that it gives up once more came than a form may have."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST:
            raise Unreadable(413)
        return message

    return counting
