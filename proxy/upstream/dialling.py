"""How each model server is reached: its address, whose certificates are trusted, and through which proxy.

A certificate is always checked: against ``ca_file`` where one is named, else against the machine's own store (and
``SSL_CERT_FILE``, by OpenSSL). ``HTTPS_PROXY`` and ``NO_PROXY`` count for https alone, in either case of letters.
"""

import ssl
from collections.abc import Mapping
from urllib.request import getproxies_environment, proxy_bypass

from proxy.config.config import ServerConfig
from proxy.upstream.transport import Endpoint
from services.http.dialling import InternetDialler, Proxy, Resolver
from services.runtime.settings import Origin


def endpoint_of(config: ServerConfig, resolver: Resolver) -> Endpoint:
    """Return where a configured server's API is, and how its connections come up.

    Where TLS is not spoken, in the operator's own network, the loop does it.
    """
    url = config.url
    origin = Origin(url.scheme, url.host, url.port)
    if url.scheme == "http":
        return Endpoint(origin, url.path)
    dialler = InternetDialler(resolver, tls=trusted(config.ca_file), proxy=proxy_of(config))
    return Endpoint(origin, url.path, dialler=dialler)


def trusted(ca_file: str) -> ssl.SSLContext:
    """Return what is trusted; "" is what the machine trusts.

    Raises:
        OSError: the file holds no certificate that can be read.
    """
    return ssl.create_default_context(cafile=ca_file or None)


def proxy_of(config: ServerConfig) -> Proxy | None:
    """Return the proxy of a server with an https address: its own, or the environment's; None where there is none.

    Raises:
        ValueError: the environment's is no URL of a proxy.
    """
    if config.proxy is not None:
        return Proxy.parse(config.proxy) if config.proxy else None
    proxies: Mapping[str, str] = getproxies_environment()
    address = proxies.get("https")
    if not address or proxy_bypass(config.url.host, dict(proxies)):
        return None
    return Proxy.parse(address)
