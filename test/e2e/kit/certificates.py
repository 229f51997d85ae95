"""A CA that is not the agent's, with certificates in files as an operator would mount them."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_DAY = datetime.timedelta(days=1)


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


class FileCa:
    """Writes ca.crt at once, and tls.crt with tls.key at each issue(), into `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "file CA")])
        root = (self._builder(self.name, self.key)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True))
        (folder / "ca.crt").write_bytes(self._sign(root))

    def _builder(self, subject, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + _DAY))

    def _sign(self, builder):
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, uri, common_name=None):
        """The serial number of a new certificate for `uri`, as Envoy spells it."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = self._builder(x509.Name(subject), key).add_extension(names, critical=True)
        # Not at once, as careless tools do.
        (self.folder / "tls.crt").write_bytes(self._sign(builder))
        (self.folder / "tls.key").write_bytes(_pem(key))
        return f"{builder._serial_number:x}"
