import pytest

from followup.errors import ConfigurationError, TemporaryError
from followup.mail.json_http import get_json, post_json
from followup.mail.sendgrid import payload
from tests.local_sendgrid import LocalSendGrid
from tests.mail.letters import a_mail

KEY = "SG.local"


@pytest.fixture
def server():
    with LocalSendGrid() as server:
        yield server


def test_json_goes_there_and_comes_back(server):
    assert get_json(f"{server.url}/v3/scopes", headers={"Authorization": f"Bearer {KEY}"}) == (
        200,
        {"scopes": ["mail.send"]},
    )
    status, said = post_json(
        f"{server.url}/v3/mail/send", payload(a_mail()), headers={"Authorization": f"Bearer {KEY}"}
    )
    assert (status, said) == (202, None)
    assert server.ledger[0].token == a_mail().token


def test_an_error_shows_no_more_of_a_url_than_its_host(server):
    server.stop()
    secret = f"http://user:secret1@localhost:{server.port}/hooks/secret2?token=secret3"

    with pytest.raises(TemporaryError) as caught:
        post_json(secret, {})
    assert f"http://localhost:{server.port} did not answer" in str(caught.value)
    assert "secret" not in str(caught.value)

    for url in ("file:///etc/passwd?secret", "secret", "http://x.example/a secret", "http://[secret"):
        with pytest.raises(ConfigurationError) as refused:
            get_json(url)
        assert "secret" not in str(refused.value)
