"""Runs PyVRP or VROOM on a folder of Solomon-format instances, for `bench_plan` to judge.

usage: peers.py pyvrp|vroom FOLDER SECONDS SEEDS [NAME...]

Prints `instance<TAB>seed<TAB>routes` a line: routes as customers with commas, separated by spaces. One thread.
PyVRP stops by processor time of the process, as ours does. VROOM has no seed and stops by itself (exploration level 5)
or at the limit on the clock. Distances are whole numbers of 1/10,000 (VROOM: 1/1,000), rounded up.
"""

import datetime
import math
import pathlib
import sys
import time


def read(path):
    rows = [line.split() for line in path.read_text().splitlines()]
    rows = [[float(word) for word in row] for row in rows if row and all(part(word) for word in row)]
    (vehicles, capacity), nodes = rows[0], rows[1:]
    return int(vehicles), int(capacity), nodes


def part(word):
    try:
        float(word)
        return True
    except ValueError:
        return False


def ways(nodes, scale):
    return [[math.ceil(math.hypot(a[1] - b[1], a[2] - b[2]) * scale) for b in nodes] for a in nodes]


def pyvrp(path, seconds, seed):
    import numpy
    import pyvrp

    vehicles, capacity, nodes = read(path)
    scale = 10_000
    model = pyvrp.Model()
    x, y, due = nodes[0][1], nodes[0][2], nodes[0][5]
    depot = model.add_depot(model.add_location(x, y))
    model.add_vehicle_type(vehicles, capacity=capacity, start_depot=depot, end_depot=depot, tw_early=0, tw_late=int(due * scale))
    for _, x, y, demand, ready, due, service in nodes[1:]:
        model.add_client(
            model.add_location(x, y), delivery=int(demand), service_duration=int(service * scale),
            tw_early=int(ready * scale), tw_late=int(due * scale),
        )
    matrix = numpy.array(ways(nodes, scale))
    data = model.data().replace(distance_matrices=[matrix], duration_matrices=[matrix])
    until = time.process_time() + seconds
    result = pyvrp.solve(data, stop=lambda _: time.process_time() >= until, seed=seed, display=False)
    # Clients are numbered from 0 without the depot.
    return [[visit.idx + 1 for visit in route if visit.is_client()] for route in result.best.routes()]


def vroom(path, seconds, seed):
    import numpy
    import vroom as engine

    vehicles, capacity, nodes = read(path)
    scale = 1_000
    problem = engine.Input()
    problem.set_durations_matrix(profile="car", matrix_input=numpy.array(ways(nodes, scale), dtype=numpy.uint32))
    day = [0, int(nodes[0][5] * scale)]
    for number in range(vehicles):
        problem.add_vehicle(engine.Vehicle(number, start=0, end=0, capacity=[capacity], time_window=day))
    for number, _, _, demand, ready, due, service in nodes[1:]:
        problem.add_job(engine.Job(
            int(number), location=int(number), delivery=[int(demand)], default_service=int(service * scale),
            time_windows=[[int(ready * scale), int(due * scale)]],
        ))
    solution = problem.solve(exploration_level=5, nb_threads=1, timeout=datetime.timedelta(seconds=seconds))
    routes = {}
    for _, step in solution.routes.iterrows():
        if step["type"] == "job":
            routes.setdefault(step["vehicle_id"], []).append(int(step["id"]))
    return list(routes.values())


def main():
    solver, folder, seconds, seeds, *names = sys.argv[1:]
    for path in sorted(pathlib.Path(folder).glob("*.txt")):
        if names and path.stem not in names:
            continue
        for seed in range(1, int(seeds) + 1):
            started = time.process_time()
            routes = {"pyvrp": pyvrp, "vroom": vroom}[solver](path, float(seconds), seed)
            used = time.process_time() - started
            print(path.stem, seed, " ".join(",".join(map(str, route)) for route in routes), sep="\t", flush=True)
            print(f"{path.stem}\t{seed}\t{solver}\t{used:.2f} s of processor time", file=sys.stderr)


main()
