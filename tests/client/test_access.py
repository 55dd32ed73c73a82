"""Servers behind a login, a redirection or a certificate of their own: what is sent, one line where it lacks."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from autodir_client import Server, ServerError, ServerUnavailableError
from autodir_client.cli import open_server
from autodir_client.server import parse_address
from autodir_core import InputError
from autodir_core.cli import main, parse
from tests.client.helpers.fake import Fake
from tests.client.helpers.session import assert_done


def run(client, photos, fake, server):
    """Run two photos on a server behind `fake`, opened in its own loop."""

    async def story():
        async with fake:
            return await client.on([server(fake)], photos[:2])

    return asyncio.run(story())


@pytest.mark.parametrize(
    "server",
    [
        lambda fake: f"{fake.url}/?token=s3cret",
        lambda fake: Server(fake.url, headers={"Authorization": "Bearer s3cret"}),
        lambda fake: Server(fake.url, headers={"X-Key": "s3cret"}),
    ],
)
def test_a_token_goes_with_every_request(client, photos, server):
    fake = Fake()
    fake.login = "s3cret"
    results = run(client, photos, fake, server)
    assert not any(result.error for result in results)
    assert_done(client, photos[:2])
    assert "GET /ws" in fake.requests
    assert not any("s3cret" in update.server + update.message for update in client.updates)


def test_without_it_one_line_says_what_to_give(client, photos):
    fake = Fake()
    fake.login = "s3cret"
    with pytest.raises(
        ServerError.__base__, match=r"refuses /object_info \(status 401\); log in with --token or --header"
    ):
        run(client, photos, fake, lambda fake: fake.url)


def test_the_command_sends_what_it_is_given():
    given = "--token", "a", "--header", "X-Key: b c", "--header", "X-Other:d", "--insecure"
    server = open_server("http://host", parse(["comfy", "check", "flow.json", *given]))
    assert server.headers == {"Authorization": "Bearer a", "X-Key": "b c", "X-Other": "d"} and server.insecure


@pytest.mark.parametrize("header", ["X-Key", "X Key: a", ": a", "X-Key: a\nHost: b"])
def test_what_is_no_header(header, tmp_path, capsys):
    assert main(["comfy", "check", "flow.json", "--header", header]) == 2
    assert "write --header NAME:VALUE" in capsys.readouterr().err


def test_a_user_and_a_token_exclude_each_other():
    with pytest.raises(InputError, match=r"^host has a user in its address and an Authorization header"):
        Server("https://me:pass@host", headers={"authorization": "Bearer x"})


def test_addresses():
    assert parse_address("https://me:pass@host:9/comfy/?token=a%26b&x=") == (
        "https://me:pass@host:9/comfy",
        [("token", "a&b"), ("x", "")],
        "host:9/comfy",
    )


@pytest.mark.parametrize(("path", "message"), [("/object_info", "it was sent on to /login"), ("/prompt", "to /login;")])
def test_a_login_page_is_told(path, message):
    fake = Fake()
    fake.moved_to = "/login"

    async def story():
        async with fake, Server(fake.url) as server:
            await (server.definitions() if path == "/object_info" else server.queue_prompt({}, "id"))

    with pytest.raises(ServerError, match=f"{message}.* log in with --token or --header"):
        asyncio.run(story())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> ssl.SSLContext:
    """A server's context with a certificate that it has signed itself."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subject = "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", key, "-out", cert, *subject]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


class TestTLS:
    def ask(self, fake: Fake, tls: ssl.SSLContext | None, **options) -> str:
        async def story():
            await fake.start(tls)
            try:
                async with Server(f"https://127.0.0.1:{fake.port}", **options) as server, server.events():
                    return await server.version()
            finally:
                await fake.stop()

        return asyncio.run(story())

    def test_a_certificate_of_its_own_is_refused_in_one_line_and_at_once(self, certificate):
        with pytest.raises(ServerError, match=r"certificate that is not trusted \(self.signed.*; --insecure") as caught:
            self.ask(Fake(), certificate)
        assert not isinstance(caught.value, ServerUnavailableError) and "\n" not in str(caught.value)

    def test_insecure_takes_it(self, certificate):
        assert self.ask(Fake(), certificate, insecure=True) == "0.3.64"

    def test_a_server_without_https(self):
        with pytest.raises(ServerError, match=r"does not speak https .*; try http://") as caught:
            self.ask(Fake(), None)
        assert not isinstance(caught.value, ServerUnavailableError)
