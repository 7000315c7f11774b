"""No mistake shows a secret: of a wrong configuration as little as of a right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load
from agent.errors import ConfigError

pytestmark = pytest.mark.usefixtures("data_dir")


def mistakes(text: str) -> list[str]:
    """The lines that a file is refused with."""
    Path("config.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(environ={})
    return str(caught.value).splitlines()


def test_no_message_shows_a_secret() -> None:
    text = (
        "escalation: {enabled: true, webhook_secret: 8675309, email_to: a@b,\n"
        "  webhook_url: 'http://me:8675309@/', smtp_url: 'mail://me:8675309@host'}"
    )

    found = mistakes(text)

    assert len(found) == 3
    assert "8675309" not in "".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "escalation: {enabled: true, webhook_url: 'htps://hooks.test/services/8675309'}",
        "escalation: {enabled: true, webhook_url: 'hooks.test/8675309'}",
        "escalation: {enabled: true, webhook_url: 'https:/hooks.test?token=8675309'}",
        "escalation: {webhook_url: [https://hooks.test/8675309]}",
        "escalation: {webhook_secret: !8675309 x}",
        "escalation: {webhook_secret: *8675309 }",
        "escalation: {webhook_secret: a8675309: b}",
        'escalation: {webhook_secret: "8675309\\q"}',
        "escalation: 'webhook_secret=8675309'",
        "SANAAGENT_ESCALATION_WEBHOOK_SECRET=8675309\n",
        "[" * 1001 + "*8675309",
    ],
)
def test_a_secret_in_the_wrong_place_or_badly_quoted_is_not_shown(text: str) -> None:
    assert "8675309" not in "".join(mistakes(text))
