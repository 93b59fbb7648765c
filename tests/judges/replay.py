"""Repeats every assessment, draw and item sample from what was exported: policies, facts, seeds and the log's proofs.

Shares nothing with the server but the description in docs/risk-policy.md. Ends with an error at the first byte
that comes out otherwise.
"""

import base64
import hashlib
import json
import sys
import tomllib
from math import comb
from pathlib import Path

import celpy
from celpy import celtypes

BANDS = ["mandatory", "high", "medium", "low"]


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data):
    return hashlib.sha256(data).digest()


class Policy:
    def __init__(self, path):
        document = path.read_bytes()
        assert sha256(document).hex() == path.stem, f"{path} is not what its name says"
        self.hash = path.stem
        self.written = tomllib.loads(document.decode())
        environment = celpy.Environment()
        self.rules = []
        for rule in self.written["rule"]:
            tree = environment.compile(rule["when"])
            self.rules.append((rule, names(tree), environment.program(tree)))

    def band(self, points):
        for band in BANDS[:3]:
            if points >= self.written["bands"][band]:
                return band
        return "low"

    def assess(self, kept):
        facts, on = kept["facts"], kept["assessed_on"]
        activation = {name: to_cel(value) for name, value in facts.items()}
        rules, sums, points, mandatory = [], {}, 0, False
        for rule, needed, program in self.rules:
            if "review_by" in rule and on > rule["review_by"]:
                continue
            missing = [name for name in needed if name not in facts]
            if not missing and not program.evaluate({name: activation[name] for name in needed}):
                continue
            given = rule["if_missing"] if missing else rule["points"]
            if "cap" in rule:
                sums[rule["cap"]] = sums.get(rule["cap"], 0) + given
            else:
                points += given
            mandatory = mandatory or (rule.get("mandatory", False) and not missing)
            known = {name: facts[name] for name in needed if name in facts}
            rules.append({"facts": known, "id": rule["id"], "missing": missing, "points": given})
        caps = {}
        for group, total in sums.items():
            cap = self.written["caps"][group]
            counted = max(-cap, min(cap, total))
            points += counted
            if counted != total:
                caps[group] = {"counted": counted, "sum": total}
        points = max(points, 0)
        return {
            "assessed_on": on,
            "band": "mandatory" if mandatory else self.band(points),
            "caps": caps,
            "facts": facts,
            "points": points,
            "policy": self.hash,
            "rules": rules,
            "schema": "endcheck/assessment/1",
            "shipment": kept["shipment"],
        }


def names(tree):
    """The facts that a condition needs, sorted: identifiers that no macro binds."""
    found, bound = set(), set()
    for call in tree.find_data("member_dot_arg"):
        if str(call.children[1]) in ("exists", "all"):
            first = call.children[2].children[0]
            bound.update(str(ident.children[0]) for ident in first.find_data("ident"))
    for ident in tree.find_data("ident"):
        found.add(str(ident.children[0]))
    return sorted(found - bound)


def to_cel(value):
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, int):
        return celtypes.IntType(value)
    if isinstance(value, str):
        return celtypes.StringType(value)
    return celtypes.ListType([celtypes.StringType(word) for word in value])


def ticket(seed, name):
    return sha256(seed + b"\0" + name.encode())


def spread(share, sizes):
    shares = [0] * len(sizes)
    left = min(share, sum(sizes))
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        shares[place] = min(left, sizes[place], 1)
        left -= shares[place]
    remaining = [size - given for size, given in zip(sizes, shares)]
    total = sum(remaining)
    if total == 0:
        return shares
    wanted = left
    for place, size in enumerate(remaining):
        part = wanted * size // total
        shares[place] += part
        left -= part
    order = sorted(range(len(sizes)), key=lambda place: -(wanted * remaining[place] % total))
    for place in order[:left]:
        shares[place] += 1
    return shares


def draw(pool, capacity, percent, seed):
    ordered = sorted(pool, key=lambda row: ticket(seed, row[0]))
    mandatory = sorted((row for row in ordered if row[2] == "mandatory"), key=lambda row: -row[3])
    others = [row for row in ordered if row[2] != "mandatory"]
    share = min(-(-capacity * percent // 100), len(others))
    bands = BANDS[1:]
    sizes = [sum(row[2] == band for row in others) for band in bands]
    shares = spread(share, sizes)
    random, strata = [], []
    for band, size, drawn in zip(bands, sizes, shares):
        random += list(enumerate([row for row in others if row[2] == band][:drawn]))
        strata.append({"band": band, "drawn": drawn, "size": size})
    taken = {row[0] for _, row in random}
    rest = sorted((row for row in others if row[0] not in taken), key=lambda row: -row[3])
    rest = rest[: max(0, capacity - len(mandatory) - len(random))]
    chosen = [("mandatory", place, row) for place, row in enumerate(mandatory)]
    chosen += [("risk", place, row) for place, row in enumerate(rest)]
    chosen += [("random", place, row) for place, row in random]
    return strata, [
        {"assessment": row[1], "band": row[2], "place": place + 1, "points": row[3], "shipment": row[0], "way": way}
        for way, place, row in chosen
    ]


def sample_size(population, defects, confidence):
    defects = min(defects, population)
    for seen in range(population + 1):
        if 100 * comb(population - seen, defects) <= (100 - confidence) * comb(population, defects):
            return seen
    return population


def check_sample(policy, seed, selected):
    sample, chosen = selected["sample"], selected["chosen"]
    rules = policy.written["sampling"]
    defects = max(1, sample["population"] * rules["defect_percent"][chosen["band"]] // 100)
    assert sample["defects"] == defects and sample["confidence_percent"] == rules["confidence_percent"]
    size = sample_size(sample["population"], defects, rules["confidence_percent"])
    every = sample["items"] + sample["left_out"]
    assert len(every) == sample["population"]
    first = sorted(every, key=lambda item: ticket(seed, f"{chosen['shipment']}/{item}"))[:size]
    assert set(first) == set(sample["items"]), f"{chosen['shipment']}: other items"


def proved(path, document, kind):
    """That the log commits to the document, and where: RFC 6962 inclusion under the checkpoint in the proof."""
    head, checkpoint = path.read_text().split("\n\n", 1)
    lines = head.split("\n")
    opening = json.loads(base64.b64decode(next(line for line in lines if line.startswith("extra ")).split(" ")[1]))
    index = int(next(line for line in lines if line.startswith("index ")).split(" ")[1])
    after = lines.index(f"index {index}") + 1
    hashes = [base64.b64decode(line) for line in lines[after:]]
    subject = sha256(document)
    assert opening["subject"] == subject.hex(), f"{path} is about something else"
    entry = opening["entry"]
    assert entry["kind"] == kind, f"{path} proves a {entry['kind']}"
    assert entry["commitment"] == sha256(bytes.fromhex(opening["salt"]) + subject).hex()
    size, root = int(checkpoint.split("\n")[1]), base64.b64decode(checkpoint.split("\n")[2])
    node, last, hash_ = index, size - 1, sha256(b"\0" + canonical(entry))
    for sibling in hashes:
        if node % 2 == 1 or node == last:
            hash_ = sha256(b"\1" + sibling + hash_)
            while node % 2 == 0 and node != 0:
                node, last = node // 2, last // 2
        else:
            hash_ = sha256(b"\1" + hash_ + sibling)
        node, last = node // 2, last // 2
    assert last == 0 and hash_ == root, f"{path} does not lead to the checkpoint"
    return index


def main(folder):
    policies = {path.stem: Policy(path) for path in sorted((folder / "policies").glob("*.toml"))}
    bands = {}
    for line in (folder / "assessments.ndjson").read_bytes().splitlines():
        kept = json.loads(line)
        again = canonical(policies[kept["policy"]].assess(kept))
        assert again == line, f"{kept['shipment']} comes out otherwise:\n{again.decode()}\n{line.decode()}"
        bands[sha256(line).hex()] = (kept["shipment"], kept["band"], kept["points"])
    draws = 0
    for path in sorted((folder / "draws").glob("*.selection.json")):
        name = str(path)[: -len(".selection.json")]
        document = path.read_bytes()
        kept = json.loads(document)
        committed = json.loads(Path(f"{name}.seed.json").read_bytes())
        seed = bytes.fromhex(kept["seed"])
        assert sha256(seed).hex() == committed["seed_sha256"], "another seed than was committed to"
        assert (committed["capacity"], committed["policy"]) == (kept["capacity"], kept["policy"])
        first = proved(Path(f"{name}.seed.tlog-proof"), canonical(committed), "seed")
        second = proved(Path(f"{name}.selection.tlog-proof"), document, "selection")
        assert first == kept["seed_index"] < second, "the seed was not committed to before the draw"
        pool_bytes = Path(f"{name}.pool.tsv").read_bytes()
        assert sha256(pool_bytes).hex() == kept["pool_sha256"]
        pool = [line.split("\t") for line in pool_bytes.decode().splitlines()]
        pool = [(shipment, assessment, band, int(points)) for shipment, assessment, band, points in pool]
        for shipment, assessment, band, points in pool:
            assert bands[assessment] == (shipment, band, points), f"{shipment} is not as it was assessed"
        policy = policies[kept["policy"]]
        percent = policy.written["selection"]["random_percent"]
        strata, chosen = draw(pool, kept["capacity"], percent, seed)
        again = dict(kept, random_percent=percent, pool_size=len(pool), strata=strata)
        again["chosen"] = [
            {"chosen": one, "sample": selected["sample"]} for one, selected in zip(chosen, kept["chosen"])
        ]
        assert len(chosen) == len(kept["chosen"]) and canonical(again) == document, f"{path} comes out otherwise"
        for selected in kept["chosen"]:
            check_sample(policy, seed, selected)
        draws += 1
    print(f"{len(bands)} assessments and {draws} draws come out the same")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
