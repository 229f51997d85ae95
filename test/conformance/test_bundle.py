"""Bundle documents as the agent writes them, read by the cryptography package and PyJWT."""
import base64
import json

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kit.agent import TRUST_DOMAIN
from spiffe_api import certificates, fetch


@pytest.fixture(scope="module")
def document(agent):
    return agent.json("bundle", "show", TRUST_DOMAIN)


def keys(document, use):
    return [key for key in document["keys"] if key["use"] == use]


def public_bytes(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_X509_24_the_members_of_a_jwk_are_the_key_of_its_certificate(agent, document):
    roots = []
    for key in keys(document, "x509-svid"):
        [encoded] = key["x5c"]
        roots.append(x509.load_der_x509_certificate(base64.b64decode(encoded, validate=True)))
        assert public_bytes(jwt.PyJWK(key, algorithm="ES256").key) == public_bytes(roots[-1].public_key())

    assert roots == certificates(fetch(agent.address, "FetchX509Bundles").bundles[f"spiffe://{TRUST_DOMAIN}"])


def test_JWT_15_a_jwt_key_stands_in_the_document_as_in_the_api(agent, document):
    served = json.loads(fetch(agent.address, "FetchJWTBundles").bundles[f"spiffe://{TRUST_DOMAIN}"])

    assert keys(document, "jwt-svid") == served["keys"] != []


def test_WA_18_no_key_has_two_uses(document):
    x509_keys, jwt_keys = ({public_bytes(jwt.PyJWK(key, algorithm="ES256").key) for key in keys(document, use)}
                           for use in ("x509-svid", "jwt-svid"))

    assert x509_keys and jwt_keys and not x509_keys & jwt_keys


def test_BN_08_each_key_has_a_type_and_a_use(document):
    assert {(key["kty"], key["use"]) for key in document["keys"]} == {("EC", "x509-svid"), ("EC", "jwt-svid")}


def test_BN_10_the_map_of_what_is_held_is_keyed_by_names(trusting, foreign, third):
    whole = trusting.json("bundle", "show")

    assert set(whole["trust_domains"]) == {TRUST_DOMAIN, foreign.name, third.name}
    assert all("keys" in bundle for bundle in whole["trust_domains"].values())


def test_BN_12_the_map_holds_no_hints_of_single_bundles(trusting):
    assert "spiffe_refresh_hint" not in json.dumps(trusting.json("bundle", "show"))
