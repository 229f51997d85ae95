"""The sealed state, read by others' libraries from what the pages say of it."""
import dataclasses
import hashlib
import re
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC, VERSION, ID, NONCE, HASH = b"NPSEALED", 1, 16, 12, 64
HEAD = len(MAGIC) + 1 + ID


def file_of(entry_id):
    return hashlib.sha256(entry_id.encode()).hexdigest() + ".svid"


def _derive(secret, what, length):
    return HKDF(hashes.SHA256(), length, None, b"nodepilot sealed state: " + what).derive(secret)


def open_file(path, secret):
    """The fields of a file that is whole and sealed under `secret`; else it raises."""
    data, digest = path.read_bytes()[:-HASH], path.read_bytes()[-HASH:]
    assert hashlib.sha256(data).hexdigest().encode() == digest, f"{path}: its checksum does not fit"
    assert data.startswith(MAGIC + bytes([VERSION]) + _derive(secret, b"id", ID)), f"{path}: its head does not fit"
    head, nonce, sealed = data[:HEAD], data[HEAD:HEAD + NONCE], data[HEAD + NONCE:]
    content = AESGCM(_derive(secret, b"key", 32)).decrypt(nonce, sealed, head + path.name.encode())
    fields = []
    while content:
        (length,) = struct.unpack(">I", content[:4])
        assert len(content) >= 4 + length, f"{path}: a field is cut short"
        fields.append(content[4:4 + length])
        content = content[4 + length:]
    return fields


@dataclasses.dataclass(frozen=True)
class Svid:
    spiffe_id: str
    serial: str
    not_after: float  # Unix seconds


def read_svid(path, secret):
    """What the file holds; its key fits its certificate, or this raises."""
    spiffe_id, _, key, names, *rest = open_file(path, secret)
    leaf = x509.load_der_x509_certificate(rest[int(names)])
    private = serialization.load_der_private_key(key, None)
    assert private.public_key() == leaf.public_key(), f"{path}: key and certificate do not fit"
    uris = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert uris.get_values_for_type(x509.UniformResourceIdentifier) == [spiffe_id.decode()]
    serial = leaf.serial_number.to_bytes((leaf.serial_number.bit_length() + 7) // 8, "big").hex()
    return Svid(spiffe_id.decode(), serial, leaf.not_valid_after_utc.timestamp())


def read_all(directory, secret):
    """SPIFFE ID -> Svid of every file, each of them whole. Half-written files are nobody's business."""
    svids = {}
    for path in directory.iterdir():
        assert path.suffix != ".bad", f"{path} was set aside"
        if path.suffix == ".svid":
            svid = read_svid(path, secret)
            svids[svid.spiffe_id] = svid
        elif not path.name.startswith("."):
            assert path.name == "bundle" and len(open_file(path, secret)) == 2
    return svids


def served_from_disk(log_text):
    """SPIFFE ID -> serial that this life's log says came from the disk, before anything was issued."""
    before_issue = re.split(r'msg="svid (?:issued|rotated)"', log_text)[0]
    return dict(re.findall(r'msg="stored svid served" spiffe_id=(\S+) serial=(\w+)', before_issue))
