#!/usr/bin/env bash
# The planner's core on Solomon-format instances: bench-plan.sh FOLDER SECONDS SEEDS prints
# `instance<TAB>seed<TAB>distance<TAB>vehicles<TAB>feasible` a line. SECONDS chooses the number of iterations, see
# planner/examples/bench_plan.rs.
#
# bench-plan.sh table BEST_KNOWN FOLDER SEEDS SECONDS… prints the mean and the worst gap to the best known distances
# beside PyVRP and VROOM, which it installs from PyPI, in the same harness.
set -euo pipefail
# `SECONDS` counts in bash: take the arguments before it is looked at.
arguments=("$@")
source "$(dirname "$0")/phases.sh"
cargo build --release --locked --quiet -p endcheck-planner --example bench_plan
bench=$target/release/examples/bench_plan

# Prints the mean and the worst gap of a run, in percent, and how many results are not as demanded.
gap() {
    awk -F'\t' -v who="$1" -v limit="$2" '
        NR == FNR { if ($8 + 0 > 0) best[$1] = $8; next }
        $5 != "true" { bad++ }
        $1 in best { gap = 100 * ($3 / best[$1] - 1); sum += gap; if (!runs++ || gap > worst) worst = gap }
        END { printf "%-6s %4s s  mean %6.3f %%  worst %5.2f %%  %d runs, %d not as demanded\n", who, limit, sum / (runs ? runs : 1), worst, runs, bad }
    ' "$best_known" -
}

if [ "${arguments[0]-}" != table ]; then
    exec "$bench" "${arguments[@]}"
fi
best_known=${arguments[1]} folder=${arguments[2]} seeds=${arguments[3]}
python=$target/bench/plan-python
if ! "$python/bin/python" -c 'import pyvrp, vroom' 2>/dev/null; then
    mkdir -p "$(dirname "$python")"
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check 'pyvrp==0.14.*' 'pyvroom==1.15.*'
fi
for limit in "${arguments[@]:4}"; do
    "$bench" "$folder" "$limit" "$seeds" 2>/dev/null | gap ours "$limit"
    "$python/bin/python" planner/peers/peers.py pyvrp "$folder" "$limit" "$seeds" 2>/dev/null |
        "$bench" judge "$folder" | gap PyVRP "$limit"
    # It has no seed.
    "$python/bin/python" planner/peers/peers.py vroom "$folder" "$limit" 1 2>/dev/null |
        "$bench" judge "$folder" | gap VROOM "$limit"
done
