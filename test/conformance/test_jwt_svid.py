"""JWT-SVID: the tokens that the agent issues, and its verdict on tokens that PyJWT's algorithms signed."""
import json
import time

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foreign import ALGORITHMS, FITTING, base64url, jwk, parts, sign, unbase64url
from kit.agent import TRUST_DOMAIN, identity, spiffe_id
from spiffe_api import STATUS, fetch


@pytest.fixture(scope="module")
def issued(trusting):
    """A token of the agent's own."""
    return fetch(trusting.address, "FetchJWTSVID", audience=["api", "db"], spiffe_id=spiffe_id("web")).svids[0].svid


@pytest.fixture
def verdict(trusting):
    """verdict(TOKEN): whether the agent believes it. It has one status for all that it does not believe."""
    def ask(token, audience="api"):
        try:
            return bool(fetch(trusting.address, "ValidateJWTSVID", audience=audience, svid=token).spiffe_id)
        except grpc.RpcError as error:
            assert error.code() == STATUS.INVALID_ARGUMENT, error
            return False
    return ask


def own_keys(agent):
    """The agent's JWT keys, by key ID, as PyJWT reads them."""
    bundle = fetch(agent.address, "FetchJWTBundles").bundles[f"spiffe://{TRUST_DOMAIN}"]
    return {one["kid"]: jwt.PyJWK(one, algorithm="ES256").key for one in json.loads(bundle)["keys"]}


def changed(token, place, change):
    """A token with one of its three parts changed as bytes."""
    three = token.split(".")
    three[place] = base64url(change(unbase64url(three[place]))).decode()
    return ".".join(three)


def test_ID_14_a_token_with_another_subject_put_in_is_no_svid(verdict, foreign):
    token = foreign.token()

    assert verdict(changed(token, 1, lambda claims: claims.replace(b"/web", b"/web")))
    assert not verdict(changed(token, 1, lambda claims: claims.replace(b"/web", b"/db")))


@pytest.mark.parametrize("payload", [b"spiffe://other.example/web", b'"spiffe://other.example/web"', b"[]", b""])
def test_ID_15_a_signed_document_that_is_no_set_of_claims_is_no_svid(verdict, foreign, payload):
    assert not verdict(sign(foreign.keys["p256"], {"alg": "ES256", "kid": "p256"}, payload))


def test_JWT_01_the_compact_form_is_accepted(verdict, foreign):
    assert verdict(foreign.token())


def json_forms(token):
    header, payload, signature = token.split(".")
    flat = {"protected": header, "payload": payload, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    return {"flattened": json.dumps(flat), "general": json.dumps(general), "five_parts": f"{token}.x.x",
            "detached": f"{header}..{signature}", "two_parts": f"{header}.{payload}",
            "unsigned": f"{header}.{payload}.", "newline": token + "\n", "bearer": f"Bearer {token}"}


@pytest.mark.parametrize("form", ["flattened", "general", "five_parts", "detached", "two_parts", "unsigned", "newline",
                                  "bearer"])
def test_JWT_01_any_other_form_is_rejected(verdict, foreign, form):
    assert not verdict(json_forms(foreign.token())[form])


def test_JWT_02_an_issued_header_has_three_members(issued):
    header, _ = parts(issued)

    assert set(header) == {"alg", "kid", "typ"}


def test_JWT_02_what_else_a_header_says_is_ignored(verdict, foreign):
    stranger = ec.generate_private_key(ec.SECP256R1())

    assert verdict(foreign.token(header={"jwk": jwk(stranger), "jku": "https://evil.example/", "x5c": ["MA=="]}))


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
@pytest.mark.parametrize("kid", ["p256", "stranger", None])
def test_JWT_02_a_header_brings_no_key(verdict, foreign, member, kid):
    stranger = ec.generate_private_key(ec.SECP256R1())
    value = {"jwk": jwk(stranger, kid="stranger"), "x5c": ["MA=="]}.get(member, "https://evil.example/")

    assert not verdict(foreign.token(key=stranger, header={"kid": kid, member: value}))


def test_JWT_03_the_issued_algorithm_is_one_of_the_nine(issued):
    assert parts(issued)[0]["alg"] in FITTING


@pytest.mark.parametrize("alg", FITTING)
def test_JWT_03_each_of_the_nine_is_accepted(verdict, foreign, alg):
    assert verdict(foreign.token(kid=FITTING[alg], alg=alg))


def test_JWT_04_no_algorithm_and_an_empty_signature_are_rejected(verdict, foreign):
    claims = foreign.token().split(".")[1]

    for alg in ("none", "None", "NONE"):
        for signature in ("", "AA"):
            header = base64url(json.dumps({"alg": alg, "kid": "p256"}).encode()).decode()
            assert not verdict(f"{header}.{claims}.{signature}")


def test_JWT_04_a_public_key_is_no_secret_of_hmac(verdict, foreign):
    for form in ((Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)):
        secret = foreign.keys["rsa"].public_key().public_bytes(*form)
        assert not verdict(foreign.token(kid="rsa", alg="HS256", key=secret))


def test_JWT_04_algorithms_of_other_curves_are_rejected(verdict, foreign):
    assert not verdict(foreign.token(alg="EdDSA", key=ed25519.Ed25519PrivateKey.generate()))
    assert not verdict(foreign.token(alg="ES256K", key=ec.generate_private_key(ec.SECP256K1())))


@pytest.mark.parametrize("alg", [None, "", "es256", "ES256 ", 256, ["ES256"]])
def test_JWT_04_an_algorithm_that_is_none_of_the_nine_is_rejected(verdict, foreign, alg):
    token = foreign.token()
    header = {name: value for name, value in {"alg": alg, "kid": "p256"}.items() if value is not None}
    message = base64url(json.dumps(header).encode()) + b"." + token.split(".")[1].encode()
    signature = ALGORITHMS["ES256"].sign(message, foreign.keys["p256"])

    assert not verdict((message + b"." + base64url(signature)).decode())


def test_JWT_04_the_algorithm_is_looked_at_first(trusting, foreign):
    everything_wrong = foreign.token(alg="HS256", key=b"x" * 32, claims={"sub": "nobody", "exp": 1, "aud": None})

    with pytest.raises(grpc.RpcError) as error:
        fetch(trusting.address, "ValidateJWTSVID", audience="api", svid=everything_wrong)

    assert "alg" in error.value.details()


@pytest.mark.parametrize("alg", ["ES256", "ES512", "RS256", "PS384"])
def test_JWT_05_a_token_without_kid_is_accepted_if_some_key_fits(verdict, foreign, alg):
    assert verdict(foreign.token(kid=FITTING[alg], alg=alg, header={"kid": None}))


def test_JWT_05_a_token_without_kid_of_no_key_is_rejected(verdict, foreign):
    assert not verdict(foreign.token(key=ec.generate_private_key(ec.SECP256R1()), header={"kid": None}))


def test_JWT_05_an_issued_token_has_a_kid_of_the_bundle(trusting, issued):
    assert parts(issued)[0]["kid"] in own_keys(trusting)


@pytest.mark.parametrize("typ", [None, "JWT", "JOSE"])
def test_JWT_06_these_types_are_accepted(verdict, foreign, typ):
    assert verdict(foreign.token(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["wit+jwt", "at+jwt", "jwt", "Jwt", "application/JWT", "", 1, ["JWT"]])
def test_JWT_06_any_other_type_is_rejected(verdict, foreign, typ):
    assert not verdict(foreign.token(header={"typ": typ}))


def test_JWT_07_the_subject_issued_is_the_identity(issued):
    assert parts(issued)[1]["sub"] == spiffe_id("web")


@pytest.mark.parametrize("sub", [None, "", "web", "https://other.example/web", "spiffe://other.example/", 1, True,
                                 ["spiffe://other.example/web"], "spiffe://OTHER.example/web"])
def test_JWT_07_a_subject_that_is_no_spiffe_id_is_rejected(verdict, foreign, sub):
    assert not verdict(foreign.token(claims={"sub": sub}))


@pytest.mark.parametrize("aud", [None, [], "", [""], {}, 1, ["api", 1]])
def test_JWT_08_an_audience_without_a_value_is_rejected(verdict, foreign, aud):
    assert not verdict(foreign.token(claims={"aud": aud}))


@pytest.mark.parametrize("aud", ["api", ["api"], ["db", "api"]], ids=["string", "list", "second"])
def test_JWT_09_our_own_name_among_the_values_is_accepted(verdict, foreign, aud):
    assert verdict(foreign.token(claims={"aud": aud}))


@pytest.mark.parametrize("aud", ["db", "ap", "apis", "API", "api/", " api", ["db", "API"], "api,db"])
def test_JWT_09_a_name_that_is_not_exactly_ours_is_rejected(verdict, foreign, aud):
    assert not verdict(foreign.token(claims={"aud": aud}))


def test_JWT_10_the_audience_issued_is_the_one_asked_for(trusting, issued):
    one = fetch(trusting.address, "FetchJWTSVID", audience=["api"]).svids[0].svid

    assert parts(one)[1]["aud"] in ("api", ["api"])
    assert parts(issued)[1]["aud"] == ["api", "db"]


def test_JWT_11_an_issued_token_ends_soon(issued):
    assert 0 < parts(issued)[1]["exp"] - time.time() <= 300


def test_JWT_11_an_issued_token_ends_as_configured(serve, us):
    agent = serve([identity("web", us, jwt={"ttl": "60s"})])

    claims = parts(fetch(agent.address, "FetchJWTSVID", audience=["api"]).svids[0].svid)[1]

    assert claims["exp"] - claims["iat"] == 60


def test_JWT_12_a_fraction_of_a_second_and_a_small_leeway_are_accepted(verdict, foreign):
    assert verdict(foreign.token(claims={"exp": time.time() + 60.5}))
    assert verdict(foreign.token(claims={"exp": time.time() - 1}))


@pytest.mark.parametrize("exp", [None, "soon", "9999999999", [9999999999], True, -1, 2 ** 70, 0])
def test_JWT_12_an_end_that_is_no_date_to_come_is_rejected(verdict, foreign, exp):
    assert not verdict(foreign.token(claims={"exp": exp}))


@pytest.mark.parametrize("past", [32, 3600])  # 30 s of leeway
def test_JWT_12_an_end_beyond_the_leeway_is_rejected(verdict, foreign, past):
    assert not verdict(foreign.token(claims={"exp": time.time() - past}))


def test_JWT_12_an_end_beyond_the_range_of_numbers_is_rejected(verdict, foreign):
    claims = b'{"sub": "spiffe://other.example/web", "aud": "api", "exp": %s}'
    header = {"alg": "ES256", "kid": "p256"}

    assert verdict(sign(foreign.keys["p256"], header, claims % b"9999999999"))
    for number in (b"1e400", b"NaN", b"Infinity"):
        assert not verdict(sign(foreign.keys["p256"], header, claims % number))


def test_JWT_13_pyjwt_accepts_what_is_issued(trusting, issued):
    key = own_keys(trusting)[parts(issued)[0]["kid"]]

    claims = jwt.decode(issued, key=key, algorithms=["ES256"], audience="db")

    assert claims["sub"] == spiffe_id("web")


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
@pytest.mark.parametrize("place", [0, 1, 2], ids=["header", "payload", "signature"])
def test_JWT_13_a_change_in_any_part_is_rejected(verdict, foreign, alg, place):
    def change(data):
        return data.replace(b'"typ": "JWT"', b'"typ":"JWT" ') if place == 0 else \
            data.replace(b'"aud"', b'"aud" ') if place == 1 else data[:-1] + bytes([data[-1] ^ 1])

    token = foreign.token(kid=FITTING[alg], alg=alg)

    assert changed(token, place, change) != token
    assert not verdict(changed(token, place, change))


def test_JWT_13_padded_base64_is_rejected(verdict, foreign):
    header, payload, signature = foreign.token(claims={"pad": "x"}).split(".")

    for pad in ("=", "=="):
        assert not verdict(f"{header}.{payload}.{signature}{pad}")
        assert not verdict(f"{header}{pad}.{payload}.{signature}")


@pytest.mark.parametrize("resize", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: b"\0" + raw,
                                    lambda raw: b"\0" * 64], ids=["short", "long", "shifted", "zero"])
def test_JWT_13_an_ecdsa_signature_of_another_size_or_of_zeroes_is_rejected(verdict, foreign, resize):
    assert not verdict(changed(foreign.token(), 2, resize))


def test_JWT_13_an_ecdsa_signature_in_der_is_rejected(verdict, foreign):
    def to_der(raw):
        return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    assert not verdict(changed(foreign.token(), 2, to_der))


@pytest.mark.parametrize("alg, kid", [("ES384", "p256"), ("RS256", "p256"), ("ES256", "rsa"), ("ES256", "p384")])
def test_JWT_13_a_kid_whose_key_does_not_fit_the_algorithm_is_rejected(verdict, foreign, alg, kid):
    assert not verdict(foreign.token(alg=alg, key=foreign.keys[FITTING[alg]], header={"kid": kid}))


def test_JWT_14_a_start_that_has_passed_is_accepted(verdict, foreign):
    assert verdict(foreign.token(claims={"nbf": int(time.time()) - 10}))


@pytest.mark.parametrize("nbf", [lambda: int(time.time()) + 250, lambda: "now", lambda: -1],
                         ids=["future", "text", "negative"])
def test_JWT_14_a_start_to_come_is_rejected(verdict, foreign, nbf):
    assert not verdict(foreign.token(claims={"nbf": nbf()}))


@pytest.mark.parametrize("crit", [["x"], ["exp"], [], "x"], ids=["unknown", "claim", "empty", "text"])
def test_JWT_14_what_must_be_understood_and_is_not_is_rejected(verdict, foreign, crit):
    assert not verdict(foreign.token(header={"crit": crit, "x": 1}))


@pytest.mark.parametrize("use", ["wit-svid", "JWT-SVID", "sig", None])
def test_JWT_16_a_key_of_another_use_signs_no_token(verdict, foreign, use):
    assert not verdict(foreign.token(key=foreign.others[use], header={"kid": f"other-{use}"}))
    assert not verdict(foreign.token(key=foreign.others[use], header={"kid": None}))


def test_JWT_16_an_x509_key_signs_no_token(verdict, foreign):
    assert not verdict(foreign.token(key=foreign.ca.key, header={"kid": None}))


def test_JWT_17_a_trust_domain_without_jwt_keys_has_no_tokens(verdict, third, foreign):
    assert not verdict(third.token(key=third.ca.key, header={"kid": None}))
    assert not verdict(third.token(key=foreign.keys["p256"]))


def test_JWT_18_more_claims_are_accepted_and_the_same_token_twice(verdict, foreign):
    token = foreign.token(claims={"jti": "1", "iss": "https://issuer.example", "role": {"name": "db"}})

    assert verdict(token)
    assert verdict(token)


def test_JWT_20_no_part_of_a_token_gets_into_the_log(make_agent, us):
    agent = make_agent([identity("web", us)], log={"level": "debug"}).start()
    token = fetch(agent.address, "FetchJWTSVID", audience=["api"]).svids[0].svid
    assert fetch(agent.address, "ValidateJWTSVID", audience="api", svid=token).spiffe_id == spiffe_id("web")
    with pytest.raises(grpc.RpcError) as error:
        fetch(agent.address, "ValidateJWTSVID", audience="other", svid=token)
    agent.stop()

    told = agent.process.output() + error.value.details()
    assert "FetchJWTSVID" in told
    assert not [part for part in token.split(".") if part[:20] in told]
