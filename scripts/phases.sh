# Sourced by the other scripts: phases with their durations, and where programs were built.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
target=$(cargo metadata --format-version 1 --no-deps --locked --offline | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)
started_at=$SECONDS
phases=()

# phase NAME COMMAND…: runs the command and notes how long it took; the first failure ends the run.
phase() {
    local name=$1 from=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if ! "$@"; then
        printf '\nFAILED after %d s: %s\n' $((SECONDS - started_at)) "$name" >&2
        exit 1
    fi
    phases+=("$(printf '%5d s  %s' $((SECONDS - from)) "$name")")
}

# Says what was done, and the closing line.
closing() {
    printf '\n'
    printf '%s\n' "${phases[@]}"
    printf '%s in %d s\n' "$1" $((SECONDS - started_at))
}
