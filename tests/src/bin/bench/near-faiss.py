"""Finds hashes near to given ones with faiss's flat binary index, on one thread.

Arguments: a file of stored hashes and one of queries, 32 bytes each; the largest distance; a file to write every hit
to, as two unsigned numbers of 32 bits (query, stored). Prints the milliseconds a query took, asked one by one and all
at once, the faster of some rounds.
"""

import json
import sys
import time

import faiss
import numpy

stored_path, queries_path, limit, hits_path = sys.argv[1:]
faiss.omp_set_num_threads(1)
stored = numpy.fromfile(stored_path, dtype=numpy.uint8).reshape(-1, 32)
queries = numpy.fromfile(queries_path, dtype=numpy.uint8).reshape(-1, 32)
index = faiss.IndexBinaryFlat(256)
index.add(stored)
# faiss finds what is nearer than the radius.
radius = int(limit) + 1

rounds_one, rounds_all = [], []
for _ in range(3):
    started = time.perf_counter()
    for query in queries:
        index.range_search(query.reshape(1, 32), radius)
    rounds_one.append(time.perf_counter() - started)
    started = time.perf_counter()
    limits, _, found = index.range_search(queries, radius)
    rounds_all.append(time.perf_counter() - started)

hits = numpy.stack([numpy.repeat(numpy.arange(len(queries)), numpy.diff(limits.astype(numpy.int64))), found], axis=1)
hits.astype(numpy.uint32).tofile(hits_path)
milliseconds = lambda rounds: min(rounds) * 1e3 / len(queries)
print(json.dumps({"one_by_one_ms": milliseconds(rounds_one), "all_at_once_ms": milliseconds(rounds_all)}))
