"""Bytes to text, for charsets we know; never an exception, never a codec that is none."""

import re
from encodings.aliases import aliases

# Names as Python's alias table spells them. The table also knows codecs that are no charsets (idna,
# zlib_codec, unicode_escape, …), hence a list of what is allowed and not of what is not.
_ALLOWED = frozenset(
    "ascii utf_8 utf_7 utf_16 utf_16_le utf_16_be utf_32 utf_32_le utf_32_be latin_1 mac_roman mac_cyrillic "  # noqa: SIM905
    "koi8_r koi8_u big5 big5hkscs gb2312 gbk gb18030 hz shift_jis cp932 euc_jp euc_jis_2004 iso2022_jp "
    "iso2022_jp_1 iso2022_jp_2 iso2022_jp_3 euc_kr cp949 johab iso2022_kr cp437 cp850 cp852 cp858 cp866 cp874 "
    "cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 tis_620 iso8859_2 iso8859_3 iso8859_4 "
    "iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 "
    "iso8859_16".split()
)
# What mailers write for something else: supersets that read more than the name promises, as browsers
# do (encoding.spec.whatwg.org), and names only mailers use.
_MEANT = {
    "latin_1": "cp1252",
    "iso_8859_8_i": "iso8859_8",
    "ks_c_5601_1987": "cp949",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "windows_874": "cp874",
    "windows_31j": "cp932",
    "unicode_1_1_utf_7": "utf_7",
    "unicode_1_1_utf_8": "utf_8",
    "x_mac_roman": "mac_roman",
    "x_gbk": "gb18030",
    "big5": "big5hkscs",
}
_UNTEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff]")


def decode(data: bytes, charset: str | None) -> str:
    """
    Return *data* as text, replacing what *charset* cannot read.

    A charset that is missing, unknown or not allowed is guessed: UTF-8, or else Windows-1252.
    """
    codec = _codec(charset)
    if codec is None or codec == "ascii":
        return _guessed(data)
    text = data.decode(codec, "replace")
    return _without_surrogates(text) if codec == "utf_7" else text


def clean(text: str) -> str:
    """
    Return *text* with LF line ends, without controls but tab and LF, and without lone surrogates.

    PostgreSQL stores no NUL, and no database a surrogate.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n")
    return _without_surrogates(_UNTEXT.sub("", text))


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _codec(charset: str | None) -> str | None:
    if not charset or len(charset) > 40:
        return None
    name = re.sub(r"[-_ .:]+", "_", charset.strip(" \t\"'").lower())
    if not name.isascii():
        return None
    known = aliases.get(name, name)
    meant = _MEANT.get(known) or _MEANT.get(name) or known
    return meant if meant in _ALLOWED else None


def _guessed(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
