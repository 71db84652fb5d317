"""Secrets do not show, and TLS is what it is told to be."""

import ssl

import pytest

from redis_fargate.nodes.settings import ConnectionSettings


def test_no_secret_in_the_representation() -> None:
    shown = repr(ConnectionSettings(username="controller", password="open sesame"))

    assert "controller" in shown
    assert "sesame" not in shown


def test_no_context_without_tls() -> None:
    assert ConnectionSettings().tls_context() is None


def test_certificates_are_checked_and_names_are_not() -> None:
    context = ConnectionSettings(tls=True).tls_context()

    assert context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.check_hostname


def test_a_ca_that_is_none() -> None:
    with pytest.raises(ssl.SSLError):
        ConnectionSettings(tls=True, tls_ca="no certificate").tls_context()
