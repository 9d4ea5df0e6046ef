"""An OpenID Connect provider in a process of its own: js/oidc_provider.js, and how to get tokens from it."""

import base64
import http.cookiejar
import json
import os
import pathlib
import secrets
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from server_process import free_port

SCRIPT = pathlib.Path(__file__).parent / "js" / "oidc_provider.js"
READY_DEADLINE_SECONDS = 60
CLIENT, OTHER_CLIENT = "cairn-tests", "another-application"
_REDIRECT = "https://127.0.0.1/signed-in"


class _StopAtRedirectUri(urllib.request.HTTPRedirectHandler):
    """Follows the provider's redirects, but not the one to the application, which nobody serves."""

    def redirect_request(self, request, file, code, message, headers, url):
        if url.startswith(_REDIRECT):
            return None
        return super().redirect_request(request, file, code, message, headers, url)


class Provider:
    """A running provider. Its tokens are real: login, consent, code, token endpoint."""

    def __init__(self, log: pathlib.Path, authority=None, certificate=None, key=None):
        self.port = free_port()
        self.issuer = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.log = log
        self._context = ssl.create_default_context(cafile=authority) if authority else None
        self._command = ["node", SCRIPT, str(self.port), *([certificate, key] if certificate else [])]

    def __enter__(self):
        assert (SCRIPT.parent / "node_modules").is_dir(), f"run `npm ci` in {SCRIPT.parent}, or `make test-clients`"
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        with self.log.open("wb") as log:
            command = [str(part) for part in self._command]
            # A group of its own: `node` may be a script that starts the real one.
            self._process = subprocess.Popen(
                command, env={"PATH": path}, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + READY_DEADLINE_SECONDS
        while True:
            assert self._process.poll() is None, self.log.read_text()
            try:
                self._open("/.well-known/openid-configuration")
                return self
            except OSError:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def __exit__(self, *_):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _opener(self, *handlers):
        tls = [urllib.request.HTTPSHandler(context=self._context)] if self._context else []
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), *tls, *handlers)

    def _open(self, path, body=None, headers=None):
        request = urllib.request.Request(self.issuer + path, body, headers or {})
        with self._opener().open(request, timeout=10) as answer:
            return answer.read().decode()

    def sign_in(self, subject: str, client=CLIENT) -> str:
        """An ID token for `subject`, by the authorization code flow."""
        jar = http.cookiejar.CookieJar()
        opener = self._opener(urllib.request.HTTPCookieProcessor(jar), _StopAtRedirectUri())
        query = {
            "client_id": client,
            "response_type": "code",
            "scope": "openid",
            "redirect_uri": _REDIRECT,
            "login_hint": subject,
            "nonce": secrets.token_hex(8),
        }
        try:
            opener.open(f"{self.issuer}/auth?{urllib.parse.urlencode(query)}", timeout=10)
            raise AssertionError("the provider did not redirect to the application")
        except urllib.error.HTTPError as redirect:
            location = redirect.headers["Location"]
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)["code"][0]
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": _REDIRECT}
        basic = base64.b64encode(f"{client}:secret-of-{client}".encode()).decode()
        answer = self._open("/token", urllib.parse.urlencode(body).encode(), {"Authorization": f"Basic {basic}"})
        return json.loads(answer)["id_token"]

    def rotate(self, *, keep=False, alg="RS256") -> None:
        """Signs with a new key from now on."""
        self._open(f"/test/rotate?alg={alg}{'&keep=true' if keep else ''}", b"{}")

    def mint(self, header=None, **claims) -> str:
        """A token with the current key's signature and any claims; None leaves a claim out."""
        now = int(time.time())
        ordinary = {"iss": self.issuer, "sub": "minted", "aud": CLIENT, "iat": now, "exp": now + 600}
        claims = {name: value for name, value in (ordinary | claims).items() if value is not None}
        body = {"claims": claims, "header": header or {}}
        return self._open("/test/mint", json.dumps(body).encode())
