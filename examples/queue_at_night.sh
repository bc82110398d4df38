#!/bin/sh
# Run the prompts of a file, one after the other, and report how they ended.
#
#   examples/queue_at_night.sh PROJECT FILE [OPTIONS of `claudehub run`]
#
# FILE has one prompt a line; empty lines, and lines that begin with #, are left out. With cron:
#
#   0 23 * * *  queue_at_night.sh site ~/tonight.txt --permission-mode acceptEdits
#
# The prompts wait in the hub's queue, so the hub goes on with them if this script is stopped. Each
# has a key, made from $NIGHT (by default the date) and its line. So the script, started again with
# the same NIGHT, runs nothing twice, and only waits for what is not over. What the agent did is in
# files in the folder $REPORTS, or a new one.
#
# Exit code: 0 if all ended with success, 1 if one did not, 2 if something was wrong at the start.

set -u
ahead=8          # so many wait in the queue (its limit is MAX_QUEUE, by default 16)
tries=20         # of a command that does not reach the hub, or finds the queue full
pause=${PAUSE_SECONDS:-30}

usage() {
    echo "usage: $0 PROJECT FILE [OPTIONS of claudehub run]" >&2
    exit 2
}

[ $# -ge 2 ] || usage
project=$1 file=$2
shift 2
[ -r "$file" ] || { echo "$0: $file cannot be read" >&2; exit 2; }
claudehub status "$project" > /dev/null || exit 2
reports=${REPORTS:-$(mktemp -d)} || exit 2
mkdir -p "$reports" || exit 2
# A copy: the file may change while the night goes on.
grep -v -e '^[[:space:]]*#' -e '^[[:space:]]*$' "$file" >"$reports/prompts"
night=${NIGHT:-$(date +%Y-%m-%d)}
total=$(($(wc -l <"$reports/prompts")))
queued=0 ended=0 failed=0

prompt_of() { sed -n "$1p" "$reports/prompts"; }

# run NUMBER [OPTIONS]: the prompt of that line. A key runs once, however often it is sent.
run() {
    number=$1
    shift
    prompt=$(prompt_of "$number")
    key="night-$night-$number-$(printf %s "$prompt" | cksum | cut -d ' ' -f 1)"
    claudehub run "$project" --once "$key" "$@" -- "$prompt" </dev/null
}

# Put a line into the queue. While there is no hub, or others have filled the queue, try again.
queue() {
    left=$tries
    while :; do
        run "$@" --detach >"$reports/$1.id" 2>"$reports/$1.errors"
        code=$?
        [ "$code" -ne 0 ] || return 0
        [ "$code" -eq 7 ] || grep -q "wait already" "$reports/$1.errors" || return 1
        # One of ours that ends makes room.
        [ "$queued" -eq "$ended" ] || return 1
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep "$pause"
    done
}

# Wait for the end of a line, and say how it ended.
wait_for() {
    left=$tries
    while :; do
        run "$@" >"$reports/$1.txt" 2>"$reports/$1.errors"
        code=$?
        left=$((left - 1))
        [ "$code" -eq 7 ] && [ "$left" -gt 0 ] || break
        sleep "$pause"
    done
    case $code in
        0) outcome=success ;;
        1) outcome=error ;;
        3) outcome=timeout ;;
        4) outcome=killed ;;
        5) outcome=cancelled ;;
        6) outcome=lost ;;
        7) outcome="no hub" ;;
        130) outcome=interrupted ;;
        *) outcome="exit code $code" ;;
    esac
    [ "$code" -eq 0 ] || failed=$((failed + 1))
    printf '%s %-11s %s\n' "$(date +%H:%M)" "$outcome" "$(prompt_of "$1")"
    [ "$code" -eq 0 ] || sed -n '1s/^/      /p' "$reports/$1.errors"
}

while [ "$ended" -lt "$total" ]; do
    while [ "$queued" -lt "$total" ] && [ "$((queued - ended))" -lt "$ahead" ]; do
        queue "$((queued + 1))" "$@" || break
        queued=$((queued + 1))
    done
    # What is not in the queue by now is sent by `wait_for`, which then says why it cannot be.
    wait_for "$((ended + 1))" "$@"
    ended=$((ended + 1))
    [ "$queued" -ge "$ended" ] || queued=$ended
done
echo "$((total - failed)) of $total with success; what the agent did: $reports"
[ "$failed" -eq 0 ]
