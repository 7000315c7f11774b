"""What is a secret, by the name that stands before it; and texts without them.

Names betray secrets: `password=…`, `"api_key": "…"`, `Authorization: Bearer …`, `--token …`. Rather too much is hidden
than too little. A secret without such a name, or an odd one inside a sentence, is not found: whoever writes an error's
text has to leave it out.
"""

from __future__ import annotations

import re
from functools import cache

HIDDEN = "***"

OURS = (
    "SANAAGENT_ESCALATION_WEBHOOK_SECRET",
    "SANAAGENT_ESCALATION_WEBHOOK_URL",  # its path is all that protects the hooks of chat services
    "SANAAGENT_ESCALATION_SMTP_URL",
)
"""The variables with secrets of the supervisor's own, which handlers and what they start have no use for."""

_NAME = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|(?:api|access|private)[-_ ]?key"
    r"|authorization|cookie|credential)"
)
_TELLTALES = (
    "password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "authorization", "cookie", "credential",
    "bearer ", "://", *(kind + gap + "key" for kind in ("api", "access", "private") for gap in ("", "-", "_", " ")),
)  # fmt: skip


def is_secret(name: str) -> bool:
    """Whether what stands under `name` must not be seen: password, secret, token, api_key, authorization, cookie …"""
    return _names().search(name) is not None


def without_secrets(text: str) -> str:
    """`text` with `***` in place of what looks like a secret, and of the user and password of a URL.

    The time it takes is proportional to the length, whatever the text: 0.3 ms a thousand characters at most.
    """
    lowered = text.lower()
    if not any(telltale in lowered for telltale in _TELLTALES):
        return text
    return _secrets().sub(lambda found: f"{found['name'] or ''}{HIDDEN}", text)


@cache
def _names() -> re.Pattern[str]:
    return re.compile(_NAME, re.IGNORECASE)


@cache
def _secrets() -> re.Pattern[str]:
    """Compiled when first needed, as most processes never need it. Every repetition is bounded or possessive."""
    equals = r"""[ \t]{0,8}[!:=]{0,2}[=:]>?[ \t]{0,8}"""
    listed = r"""(?<=["']),[ ]?(?=[bruf]{0,2}["'])"""  # ('token', 'abc')
    named = rf"""{_NAME}[\w.-]{{0,40}}+\\{{0,4}}["']?\]?(?:{equals}|{listed})"""
    option = rf"""(?<=-){_NAME}[\w-]{{0,40}}+[ ]"""  # --token abc
    quoted = r"""[bruf]{0,2}(?P<quote>"{3}|'{3}|["'])(?:\\.|(?!(?P=quote))[^\\])*+(?P=quote)?"""
    escaped = r"""\\+["'](?:[^"'\\]|\\(?!["'\\]))*+(?:\\+["'])?"""
    bracketed = r"""[\[({<][^\])}>]*+[\])}>]?"""
    bare = r"""(?:(?:bearer|basic|digest|token)[ ]+)?[^\s,;&"'<>()\[\]{}]++(?:;[ ][^\s;=,"']++=[^\s;,"']*+)*+"""
    login = r"""(?<=://)[^/\s@]{1,1000}(?=@)"""
    bearer = r"""(?<=bearer )[\w.~+/=-]{8,}+"""
    pattern = f"(?P<name>{named}|{option})(?:{quoted}|{escaped}|{bracketed}|{bare})|{login}|{bearer}"
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)
