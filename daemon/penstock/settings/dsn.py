"""What a DSN says, in words that may be logged: its host, port and database.

What always holds: nothing of the user name or the password is shown, in whatever part of the DSN it
stands; where that is in doubt, nothing is shown at all.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit

from penstock.settings.secret import Secret

_HIDDEN = "***"
_PASSWORD_PARAMETERS = frozenset({"password", "sslpassword"})
_SHOWN_PARAMETERS = frozenset({"host", "port", "dbname"})


def place_of(dsn: Secret) -> str:
    """`postgresql://***@host:port/database`, with only so much of it as the DSN says."""
    try:
        url = urlsplit(dsn.reveal())
    except ValueError:
        return _HIDDEN
    credentials, at, hosts = url.netloc.rpartition("@")
    # An "@" further on may mean that a password with an unescaped "/" or "?" is cut in two.
    if not url.scheme.startswith("postgres") or "@" in url.path + url.query + url.fragment:
        return _HIDDEN
    shown = [(key, value) for key, value in parse_qsl(url.query) if key in _SHOWN_PARAMETERS]
    parameters = f"?{urlencode(shown, safe='/,:')}" if shown else ""
    user = _HIDDEN + at if credentials else ""
    return f"{url.scheme}://{user}{hosts}{url.path}{parameters}"


def holds_password(dsn: Secret) -> bool:
    """Whether a password stands in it; so, too, when that is in doubt."""
    try:
        url = urlsplit(dsn.reveal())
    except ValueError:
        return True
    credentials = url.netloc.rpartition("@")[0]
    return (
        ":" in credentials
        or "@" in url.path + url.query + url.fragment
        or not _PASSWORD_PARAMETERS.isdisjoint(key for key, _ in parse_qsl(url.query))
    )
