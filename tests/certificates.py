"""An authority of a test's own, and what it has signed."""

import subprocess

_MAKE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"


def certified(folder):
    """Files in `folder`: an authority's certificate, and a certificate with its key that it has signed for loopback."""
    authority, authority_key = folder / "authority.pem", folder / "authority-key.pem"
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    # An authority's own certificate is not taken for a server's: hence two.
    for command in (
        f"{_MAKE} -subj /CN=authority -keyout {authority_key} -out {authority}",
        f"{_MAKE} -subj /CN=loopback -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        f" -CA {authority} -CAkey {authority_key} -keyout {key} -out {certificate}",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    return authority, certificate, key
