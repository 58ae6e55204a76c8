"""A signer that makes whatever DKIM-Signature a test asks for, wrong ones as well: slow, by the words of RFC 6376, with
nothing of mailsrv but the keys.
"""

import base64
import hashlib
import re

SPACE = re.compile(rb"[ \t]+")


def relax_body(body):
    """Section 3.4.4, line by line."""
    lines = [SPACE.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def simple_body(body):
    """Section 3.4.3."""
    return re.sub(rb"(\r\n)*\Z", b"", body) + b"\r\n"


def relax_field(field):
    """Section 3.4.2."""
    name, _, value = field.partition(b":")
    return name.strip().lower() + b":" + SPACE.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ") + b"\r\n"


HEADER = {"simple": lambda field: field, "relaxed": relax_field}
BODY = {"simple": simple_body, "relaxed": relax_body}


def split(message):
    """(fields with their CRLFs, body)."""
    head, _, body = message.partition(b"\r\n\r\n")
    return re.findall(rb"[^\r]*(?:\r\n[ \t][^\r]*)*\r\n", head + b"\r\n"), body


def select(fields, names):
    """Section 5.4.2."""
    left = list(fields)
    for name in names:
        for place in reversed(range(len(left))):
            if left[place].partition(b":")[0].strip().lower() == name.strip().lower():
                yield left.pop(place)
                break


def sign(message, private, tags=None, order=None, name="DKIM-Signature", glue="; "):
    """A field with the usual tags, those in `tags` instead or besides (None: left out); `b` may be given as well."""
    fields, body = split(message)
    tags = {
        "v": "1",
        "a": f"{private.algorithm.value}-sha256",
        "c": "relaxed/relaxed",
        "d": "example.com",
        "s": "sel",
        "h": "from:to:subject",
        "bh": "",
        "b": "",
        **(tags or {}),
    }
    forms = (tags["c"] or "simple/simple").lower().split("/")
    header_form, body_form = HEADER.get(forms[0], relax_field), BODY.get([*forms, "simple"][1], relax_body)
    if tags["bh"] == "":
        canonical = body_form(body)
        covered = canonical[: int(tags.get("l") or len(canonical))]
        tags["bh"] = base64.b64encode(hashlib.sha256(covered).digest()).decode()
    text = glue.join(f"{tag}={tags[tag]}" for tag in order or tags if tags[tag] is not None)
    own = f"{name}: {text}".encode()
    if tags["b"] != "":
        return own + b"\r\n"
    names = re.split(rb"\s*:\s*", (tags["h"] or "").encode())
    octets = b"".join(header_form(field) for field in select(fields, names))
    octets += header_form(own + b"\r\n").removesuffix(b"\r\n")
    value = base64.b64encode(private.sign(hashlib.sha256(octets).digest())).decode()
    return re.sub(rb"(?<![a-z])b=", lambda _: f"b={value}".encode(), own, count=1) + b"\r\n"
