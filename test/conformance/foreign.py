"""A foreign trust domain whose keys are ours: its bundle document, and tokens of any shape in its name."""
import base64
import json
import time

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import get_default_algorithms

import pki

ALGORITHMS = get_default_algorithms()
FITTING = {"ES256": "p256", "ES384": "p384", "ES512": "p521",
           **{name: "rsa" for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwk(key, **members):
    """The public half of a key."""
    kind = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return {**ALGORITHMS[kind].to_jwk(key.public_key(), as_dict=True), **members}


def sign(key, header, payload):
    """A JWS in compact form; what the header says is up to the caller, but its alg must be one of PyJWT's."""
    message = base64url(json.dumps(header).encode()) + b"." + base64url(payload)
    return (message + b"." + base64url(ALGORITHMS[header["alg"]].sign(message, key))).decode()


def parts(token):
    """Header and claims of a token, as they are."""
    return [json.loads(unbase64url(part)) for part in token.split(".")[:2]]


class Foreign:
    """`keys` sign its tokens, by key ID; `others` are of no use for that, though they stand in the bundle too."""

    def __init__(self, name):
        self.name = name
        self.ca = pki.Authority(f"root of {name}", f"spiffe://{name}")
        self.keys = {"p256": ec.generate_private_key(ec.SECP256R1()), "p384": ec.generate_private_key(ec.SECP384R1()),
                     "p521": ec.generate_private_key(ec.SECP521R1()), "rsa": rsa.generate_private_key(65537, 2048)}
        self.others = {use: ec.generate_private_key(ec.SECP256R1()) for use in ("wit-svid", "JWT-SVID", "sig", None)}

    def id(self, name="web"):
        return f"spiffe://{self.name}/{name}"

    def root(self, *more):
        """The JWK of the root, with `more` certificates after it."""
        x5c = [base64.b64encode(pki.der(one)).decode() for one in (self.ca.certificate, *more)]
        return jwk(self.ca.key, use="x509-svid", x5c=x5c)

    def document(self, **members):
        """A bundle document; `members` are added or take the place of what would be there."""
        others = [jwk(key, kid=f"other-{use}", **({"use": use} if use else {})) for use, key in self.others.items()]
        keys = [jwk(key, use="jwt-svid", kid=kid) for kid, key in self.keys.items()]
        return {"keys": [self.root(), *others, *keys], "spiffe_sequence": 1, "spiffe_refresh_hint": 300, **members}

    def token(self, kid="p256", alg="ES256", key=None, header=None, claims=None):
        """A good token for the audience "api", but for what is changed; None takes a member away."""
        header = {"alg": alg, "kid": kid, "typ": "JWT", **(header or {})}
        now = int(time.time())
        claims = {"sub": self.id(), "aud": ["api"], "iat": now, "exp": now + 300, **(claims or {})}
        without_none = [{name: value for name, value in members.items() if value is not None}
                        for members in (header, claims)]
        return sign(key or self.keys[kid], without_none[0], json.dumps(without_none[1]).encode())
