"""Posted forms (multipart/form-data, RFC 7578), read within bounds: what can be read of them, never an exception."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MAX_FIELDS = 200
MAX_FILE = 64_000  # bytes kept of a file; nobody looks at more of one


@dataclass(frozen=True, slots=True)
class Field:
    """A field as it came; ``file_name`` is None where it holds no file. The data of a file is cut at `MAX_FILE`."""

    name: str
    data: bytes
    file_name: str | None = None
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields that could be read, in order, and why the rest could not, if there was one."""

    fields: Sequence[Field] = ()
    trouble: str = ""

    def first(self, name: str) -> bytes:
        """Return the data of the first field of that name, or nothing."""
        return next((one.data for one in self.fields if one.name == name), b"")

    @property
    def files(self) -> list[Field]:
        return [one for one in self.fields if one.file_name is not None]


def read_form(body: bytes, content_type: str, *, whole: Collection[str] = ()) -> Form:
    """
    Read a posted form.

    A form that breaks off, or breaks the rules in the middle, is read as far as that: the last field may
    then be cut.

    Args:
        whole: names of fields that are kept whole, even as files.
    """
    kind, options = parse_options_header(content_type[:500])
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        return Form(trouble="it is no multipart/form-data")
    reader = _Reader(whole)
    trouble = ""
    try:
        MultipartParser(
            boundary,
            {
                "on_part_begin": reader.begin,
                "on_header_field": reader.header_name,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_end,
                "on_headers_finished": reader.headers_end,
                "on_part_data": reader.data,
                "on_part_end": reader.end,
            },
        ).write(body)
    except (FormParserError, _TooMany) as error:
        trouble = f"it is no proper multipart/form-data: {error}"[:200]
    reader.break_off()
    return Form(tuple(reader.fields), trouble)


class _TooMany(Exception):
    """The form has more fields than anybody needs."""


@dataclass
class _Reader:
    """Takes what the parser comes across."""

    _whole: Collection[str]
    fields: list[Field] = field(default_factory=list)
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _header: tuple[bytes, bytes] = (b"", b"")
    _open: Field | None = None
    _chunks: list[bytes] = field(default_factory=list)
    _size: int = 0

    def begin(self) -> None:
        if len(self.fields) >= MAX_FIELDS:
            raise _TooMany(f"more than {MAX_FIELDS} fields")
        self._headers, self._header, self._open = {}, (b"", b""), None

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def header_end(self) -> None:
        name, value = self._header
        self._headers[name.strip().lower()] = value
        self._header = (b"", b"")

    def headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        file_name = options.get(b"filename")
        self._open = Field(
            _text(options.get(b"name", b"")),
            b"",
            None if file_name is None else _text(file_name),
            _text(self._headers.get(b"content-type", b"")),
        )
        self._chunks, self._size = [], 0

    def data(self, data: bytes, start: int, end: int) -> None:
        one = self._open
        if one is not None and one.file_name is not None and one.name not in self._whole:
            end = min(end, start + max(0, MAX_FILE - self._size))
        self._size += end - start
        self._chunks.append(data[start:end])

    def end(self) -> None:
        if self._open is not None:
            one = self._open
            self.fields.append(Field(one.name, b"".join(self._chunks), one.file_name, one.content_type))
        self._open, self._chunks = None, []

    def break_off(self) -> None:
        """Take a field that never ended for what there is of it."""
        self.end()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
