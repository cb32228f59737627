#!/bin/sh
# Every test: first those that wait more than they work, several at a time, then those that measure time,
# each alone. What is given goes to pytest; JOINLINE_TEST_WORKERS says how many at a time.
set -u
cd "$(dirname "$0")/.."
.venv/bin/pytest --numprocesses "${JOINLINE_TEST_WORKERS:-4}" --dist worksteal -m "not timed" "$@"
first=$?
.venv/bin/pytest -m timed "$@"
second=$?
# 5: nothing was selected, as happens where a part was asked for.
[ $first = 5 ] && [ $second = 5 ] && exit 5
[ $first = 5 ] && first=0
[ $second = 5 ] && second=0
[ $first = 0 ] && exit $second
exit $first
