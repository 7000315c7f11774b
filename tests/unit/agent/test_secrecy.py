"""What counts as a secret, and that no text shows one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import readers
from agent.config.sources import variable
from agent.config.values import Text
from agent.secrecy import HIDDEN, OURS, is_secret, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        "password", "db_password", "PASSWD", "passphrase", "pwd", "client-secret", "accessToken", "API_KEY", "api-key",
        "private key", "AWS_ACCESS_KEY_ID", "Authorization", "cookie", "credentials",
    ],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["key", "task", "passed", "author", "monkey", "idempotency_key"])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=geheim x", "password=*** x"),
        ("login failed: password=geheim, user=me", "login failed: password=***, user=me"),
        ("{'password': 'ge\\'heim', 'user': 'me'}", "{'password': ***, 'user': 'me'}"),
        ('{"api_key":"geheim","n":1}', '{"api_key":***,"n":1}'),
        ('{\\"token\\": \\"geheim\\", \\"n\\": 1}', '{\\"token\\": ***, \\"n\\": 1}'),
        ("Login(user='me', password='geheim')", "Login(user='me', password=***)"),
        ("passphrase: 'geheim mit Leerzeichen' next", "passphrase: *** next"),
        ("password='''geheim\n'geheim'''", "password=***"),
        ("password=b'geheim'", "password=***"),
        ("{'tokens': ['geheim', 'geheim'], 'n': 1}", "{'tokens': ***, 'n': 1}"),
        ("os.environ['AWS_SECRET_ACCESS_KEY'] = 'geheim'", "os.environ['AWS_SECRET_ACCESS_KEY'] = ***"),
        ('if token == "geheim" or', "if token == *** or"),
        ('client-secret = "geheim, and no end', "client-secret = ***"),
        ("Driver=x;UID=sa;PWD=geheim", "Driver=x;UID=sa;PWD=***"),
        ("GET https://h.test/?token=geheim&page=1", "GET https://h.test/?token=***&page=1"),
        ("Authorization: Bearer geheim.geheim-geheim", "Authorization: ***"),
        ("curl -H 'X-Api-Key: geheim' h.test", "curl -H 'X-Api-Key: ***' h.test"),
        ("[(b'authorization', b'Bearer geheim')]", "[(b'authorization', ***)]"),
        ("Cookie: sid=geheim; csrf=geheim", "Cookie: ***"),
        ("sent with Bearer geheim-geheim", "sent with Bearer ***"),
        ("['mysql', '--password=geheim', 'db']", "['mysql', '--password=***', 'db']"),
        ("['psql', '--password', 'geheim', 'db']", "['psql', '--password', ***, 'db']"),
        ("tool --api-key geheim --page 1", "tool --api-key *** --page 1"),
        ("cannot reach smtps://me:geheim@mail.test:465/", "cannot reach smtps://***@mail.test:465/"),
        ("neither http://geheim@h.test/a@b", "neither http://***@h.test/a@b"),
    ],
)
def test_a_secret_in_a_text_is_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown, "what is hidden once stays as it is"


@pytest.mark.parametrize(
    "text",
    [
        "the password is wrong", "token expired", "KeyError: 'password'", "no passengers: 7", "a secret place",
        "https://h.test/a:b/c@d", "File \"tokens.py\", line 3, in token_of",
    ],
)  # fmt: skip
def test_a_text_that_only_speaks_of_secrets_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a", "pass", "password", "password=", "token'", "password='\\", 'password="', "token\\", "token ", "-token-",
     "bearer ", "://", "://a", "token=; a=b", "token=["],
)  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    text = "token" + piece * (200_000 // len(piece))
    began = time.process_time()
    without_secrets(text)
    assert time.process_time() - began < 2, "looking at every part again and again would take minutes"


@given(st.text(max_size=200), st.sampled_from(["password=", '"token": ', "--secret "]))
def test_no_text_makes_it_fail(text: str, name: str) -> None:
    assert HIDDEN in without_secrets(f"{name}x {text}")


def test_the_supervisors_own_secrets_are_those_of_the_configuration() -> None:
    secret = {variable(key) for key, reader in readers().items() if isinstance(reader, Text) and reader.secret}
    assert secret == set(OURS)
