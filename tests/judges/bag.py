"""Judges a bag: bagit says whether it is valid, securesystemslib whether every record's envelope verifies."""

import base64
import hashlib
import json
import pathlib
import sys

import bagit
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

bag = pathlib.Path(sys.argv[1])
bagit.Bag(str(bag)).validate()

keys = {}
for file in bag.glob("data/certificates/*.keys.json"):
    for key in json.loads(file.read_text())["record_keys"]:
        raw = base64.b64decode(key)
        keyid = hashlib.sha256(raw).hexdigest()
        keys[keyid] = SSlibKey(keyid, "ed25519", "ed25519", {"public": raw.hex()})

verified = 0
for file in sorted(bag.glob("data/records/*.dsse.json")):
    content = json.loads(file.read_text())
    key = keys[content["signatures"][0]["keyid"]]
    Envelope.from_dict(content).verify([key], 1)
    verified += 1
print(f"valid bag, {verified} envelopes verify")
