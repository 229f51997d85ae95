"""Workload API, the agent as a server: the JWT profile."""
import json

import pytest
from google.protobuf.json_format import MessageToDict

from foreign import parts
from kit.agent import TRUST_DOMAIN, identity, spiffe_id
from spiffe_api import STATUS, certificates, code, fetch

OWN_DOMAIN = f"spiffe://{TRUST_DOMAIN}"


def tokens(agent, **request):
    return {svid.spiffe_id: svid.svid for svid in fetch(agent.address, "FetchJWTSVID", **request).svids}


def validate(agent, token, audience="api"):
    return fetch(agent.address, "ValidateJWTSVID", audience=audience, svid=token)


def jwt_bundles(agent):
    return {domain: json.loads(bundle) for domain, bundle in fetch(agent.address, "FetchJWTBundles").bundles.items()}


def test_WA_01_the_jwt_profile_is_served(trusting):
    token = tokens(trusting, audience=["api"])[spiffe_id("web")]

    assert validate(trusting, token).spiffe_id == spiffe_id("web")
    assert code(trusting.address, "FetchJWTBundles") == STATUS.OK


@pytest.mark.parametrize("method, fields", [
    ("FetchJWTSVID", {}), ("FetchJWTSVID", {"spiffe_id": spiffe_id("web")}),
    ("ValidateJWTSVID", {"audience": "api"}), ("ValidateJWTSVID", {"svid": "x"}),
], ids=["no_audience", "only_an_id", "no_svid", "no_audience_to_check"])
def test_WA_08_a_mandatory_field_left_empty_is_an_invalid_argument(trusting, method, fields):
    assert code(trusting.address, method, **fields) == STATUS.INVALID_ARGUMENT


def test_WA_11_of_two_tokens_with_one_hint_the_first_keeps_it(serve, us):
    agent = serve([identity("web", us, hint="x"), identity("db", us, hint="x")])

    svids = fetch(agent.address, "FetchJWTSVID", audience=["api"]).svids

    assert [(svid.spiffe_id, svid.hint) for svid in svids] == [(spiffe_id("web"), "x"), (spiffe_id("db"), "")]


def test_WA_17_a_caller_without_an_identity_gets_no_jwt_bundles(stranger):
    assert code(stranger.address, "FetchJWTBundles") == STATUS.PERMISSION_DENIED


def test_WA_18_an_x509_bundle_holds_the_roots_alone(trusting, foreign):
    bundle = fetch(trusting.address, "FetchX509Bundles").bundles["spiffe://other.example"]

    assert certificates(bundle) == [foreign.ca.certificate]


def test_WA_18_a_jwt_bundle_holds_no_root(trusting, foreign):
    for bundle in jwt_bundles(trusting).values():
        assert not [key for key in bundle["keys"] if "x5c" in key]
        assert foreign.root()["x"] not in [key.get("x") for key in bundle["keys"]]


def test_WA_19_every_audience_gets_into_the_token(trusting):
    token = tokens(trusting, audience=["api", "spiffe://dev.local/db"])[spiffe_id("web")]

    assert parts(token)[1]["aud"] == ["api", "spiffe://dev.local/db"]


@pytest.mark.parametrize("audience", [[], [""], ["api", ""]])
def test_WA_19_no_audience_or_an_empty_one_is_an_invalid_argument(trusting, audience):
    assert code(trusting.address, "FetchJWTSVID", audience=audience) == STATUS.INVALID_ARGUMENT


def test_WA_20_without_an_id_there_is_a_token_for_each_identity(trusting):
    assert list(tokens(trusting, audience=["api"])) == [spiffe_id("web"), spiffe_id("db")]


def test_WA_20_with_an_id_there_is_one_token(trusting):
    assert list(tokens(trusting, audience=["api"], spiffe_id=spiffe_id("db"))) == [spiffe_id("db")]


@pytest.mark.parametrize("asked", [spiffe_id("somebody-else"), "spiffe://other.example/web", OWN_DOMAIN])
def test_WA_21_the_id_of_somebody_else_is_denied(trusting, asked):
    assert code(trusting.address, "FetchJWTSVID", audience=["api"], spiffe_id=asked) == STATUS.PERMISSION_DENIED


def test_WA_21_a_caller_without_an_identity_is_denied(stranger):
    assert code(stranger.address, "FetchJWTSVID", audience=["api"]) == STATUS.PERMISSION_DENIED


@pytest.mark.parametrize("asked", ["web", "spiffe://dev.local/web/", "SPIFFE://dev.local/web", "https://dev.local/web"])
def test_WA_21_what_is_no_id_is_an_invalid_argument(trusting, asked):
    assert code(trusting.address, "FetchJWTSVID", audience=["api"], spiffe_id=asked) == STATUS.INVALID_ARGUMENT


def test_WA_22_the_subject_of_a_token_is_the_id_beside_it(trusting):
    for named, token in tokens(trusting, audience=["api"]).items():
        assert parts(token)[1]["sub"] == named


def test_WA_23_our_own_bundle_is_a_jwk_set(agent):
    bundles = jwt_bundles(agent)

    assert list(bundles) == [OWN_DOMAIN]
    assert bundles[OWN_DOMAIN]["keys"]
    assert all(isinstance(key["kty"], str) for key in bundles[OWN_DOMAIN]["keys"])


def test_WA_23_federated_bundles_come_beside_it(trusting):
    assert set(jwt_bundles(trusting)) >= {OWN_DOMAIN, "spiffe://other.example"}


def test_WA_24_keys_of_another_use_do_not_come_out(trusting, foreign):
    keys = jwt_bundles(trusting)["spiffe://other.example"]["keys"]

    assert {key["kid"] for key in keys} == set(foreign.keys)
    assert {key.get("use", "jwt-svid") for key in keys} == {"jwt-svid"}
    assert not [key for key in keys if "d" in key]


def test_JWT_15_each_jwk_has_its_use_and_a_kid_of_its_own(trusting):
    for bundle in jwt_bundles(trusting).values():
        kids = [key["kid"] for key in bundle["keys"]]
        assert all(kids) and len(set(kids)) == len(kids)
        assert {key["use"] for key in bundle["keys"]} <= {"jwt-svid"}


def test_WA_25_a_token_is_believed_for_what_it_says(trusting, foreign):
    assert validate(trusting, foreign.token()).spiffe_id == foreign.id()


@pytest.mark.parametrize("change", [{"claims": {"exp": 1}}, {"claims": {"aud": "other"}}, {"claims": {"sub": "web"}},
                                    {"header": {"typ": "at+jwt"}}, {"header": {"kid": "unknown"}},
                                    {"claims": {"sub": "spiffe://unknown.example/web"}}],
                         ids=["expired", "audience", "subject", "type", "kid", "trust_domain"])
def test_WA_25_every_cause_has_one_status(trusting, foreign, change):
    token = foreign.token(**change)

    assert code(trusting.address, "ValidateJWTSVID", audience="api", svid=token) == STATUS.INVALID_ARGUMENT


def test_WA_25_a_caller_without_an_identity_of_a_federation_does_not_believe_its_tokens(agent, foreign):
    assert code(agent.address, "ValidateJWTSVID", audience="api", svid=foreign.token()) == STATUS.INVALID_ARGUMENT


def test_WA_26_the_claims_come_back(trusting, foreign):
    role = {"name": "db", "rows": [1, 2.5, None, True], "deep": {"er": {}}}

    answer = validate(trusting, foreign.token(claims={"role": role, "exp": 4000000000}))

    assert answer.claims["sub"] == answer.spiffe_id == foreign.id()
    assert list(answer.claims["aud"]) == ["api"]
    assert answer.claims["exp"] == 4000000000
    assert MessageToDict(answer.claims)["role"] == role


def test_WA_27_a_key_of_one_trust_domain_signs_for_no_other(trusting, foreign, third):
    for sub in (third.id(), spiffe_id("web"), f"spiffe://sub.{foreign.name}/web"):
        for kid in ("p256", None):
            token = foreign.token(claims={"sub": sub}, header={"kid": kid})
            assert code(trusting.address, "ValidateJWTSVID", audience="api", svid=token) == STATUS.INVALID_ARGUMENT


def test_WA_27_our_own_kid_does_not_help_a_foreign_key(trusting, foreign):
    own = jwt_bundles(trusting)[OWN_DOMAIN]["keys"][0]["kid"]
    token = foreign.token(claims={"sub": spiffe_id("web")}, header={"kid": own})

    assert code(trusting.address, "ValidateJWTSVID", audience="api", svid=token) == STATUS.INVALID_ARGUMENT
