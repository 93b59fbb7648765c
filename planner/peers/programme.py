"""Plans a programme with VROOM: `bench_programmes export … | programme.py SECONDS`.

Prints the seconds, the risk that is not served, minutes on the way and visits left out. One thread.
"""

import datetime
import json
import sys
import time

import numpy
import vroom

programme = json.load(sys.stdin)
seconds = float(sys.argv[1])
problem = vroom.Input()
ways = programme["ways"]
problem.set_durations_matrix(profile="car", matrix_input=numpy.array(ways, dtype=numpy.uint32))
for number, (starts, ends, base, back, skills) in enumerate(programme["days"]):
    problem.add_vehicle(vroom.Vehicle(number, start=base, end=back, skills=set(skills), time_window=[starts, ends]))
for number, (place, duration, windows, skills, risk) in enumerate(programme["visits"]):
    if windows:
        problem.add_job(vroom.Job(
            number, location=place, default_service=duration, skills=set(skills), priority=min(risk, 100),
            time_windows=[list(window) for window in windows],
        ))
started = time.monotonic()
solution = problem.solve(exploration_level=5, nb_threads=1, timeout=datetime.timedelta(seconds=seconds))
took = time.monotonic() - started
travel, served, here = 0, set(), {}
for _, step in solution.routes.iterrows():
    day = int(step["vehicle_id"])
    base, back = programme["days"][day][2:4]
    if step["type"] == "start":
        here[day] = base
    elif step["type"] == "job":
        visit = int(step["id"])
        served.add(visit)
        place = programme["visits"][visit][0]
        travel += ways[here[day]][place]
        here[day] = place
    elif step["type"] == "end":
        travel += ways[here[day]][back]
risk = sum(visit[4] for number, visit in enumerate(programme["visits"]) if number not in served)
print(f"{took:.1f} s\trisk {risk}\ttravel {travel}\tunplanned {len(programme['visits']) - len(served)}")
