#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/check.sh - run tests through prove, count their points, say the sum in the last line
#
#   tests/check.sh BUILD [-t SECONDS] TEST...
#
# TEST is a program or a *.t that prints TAP; what follows a ':' is passed to it
# (fuzz_store:--seconds:60).  Each runs under timeout(1); a
# line "# Limit: N s" in a *.t says that it needs more than others.  The last line is
# "N passed, N failed, N skipped", counted in test points; a file that skips as a
# whole counts as one; BUILD/check.sum keeps it.  Exit status 1 when something
# failed or nothing passed.

# prove starts this script again for each test: run it, and keep its TAP for the sum.
if [ -n "${CHECK_TAP_DIR:-}" ]; then
	IFS=:
	# The words are parted on purpose.
	set -- $1
	unset IFS
	name=$(printf '%s' "$*" | tr '/ ' '__')
	# The thread sanitizer of older compilers cannot live with much randomised addresses.
	case $1 in
	*-tsan/*) set -- setarch -R "$@" ;;
	esac
	case $1 in
	*.t) limit=$(sed -n 's/^# Limit: \([0-9]*\) s$/\1/p' "$1") ;;
	*) limit= ;;
	esac
	timeout -k 10 "${limit:-$CHECK_TIMEOUT}" "$@" >"$CHECK_TAP_DIR/$name" 2>"$CHECK_TAP_DIR/$name.err" </dev/null
	status=$?
	cat "$CHECK_TAP_DIR/$name"
	# 77 with a plan of no points is a skip, which prove wants to end with 0.
	if [ $status -eq 77 ] && grep -q '^1\.\.0' "$CHECK_TAP_DIR/$name"; then
		status=0
	fi
	[ $status -ne 0 ] && echo $status >"$CHECK_TAP_DIR/$name.status"
	exit $status
fi

build=$1
shift
CHECK_TIMEOUT=300
if [ "$1" = -t ]; then
	CHECK_TIMEOUT=$2
	shift 2
fi

CHECK_TAP_DIR=$(mktemp -d "${TMPDIR:-/tmp}/gmem-check.XXXXXX") || exit 99
trap 'rm -rf "$CHECK_TAP_DIR"' EXIT
trap 'exit 1' HUP INT TERM
GMEM_BUILD=$build
export CHECK_TAP_DIR CHECK_TIMEOUT GMEM_BUILD

prove -j2 --timer --exec "$0" "$@"

# What failed, with the comments that follow it.
for tap in "$CHECK_TAP_DIR"/*; do
	[ -e "$tap.status" ] || continue
	echo "--- $(basename "$tap"): status $(cat "$tap.status")"
	awk '/^(not )?ok |^1\.\./ { show = /^not ok/ } show && lines++ < 300' "$tap"
	tail -n 20 "$tap.err"
done
rm -f "$CHECK_TAP_DIR"/*.err

# A file that failed without a failed point died, was killed or lost its plan: one failure.
failed_files=0
for status in "$CHECK_TAP_DIR"/*.status; do
	[ -e "$status" ] || continue
	grep -q '^not ok' "${status%.status}" || failed_files=$((failed_files + 1))
	rm -f "$status"
done
cat "$CHECK_TAP_DIR"/* 2>/dev/null | awk -v failed="$failed_files" '
	/^1\.\.0/ { skipped++; next }
	/^ok .*# SKIP/ { skipped++; next }
	/^ok / { passed++ }
	/^not ok / { failed++ }
	END {
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit failed || !passed
	}' >"$build/check.sum"
status=$?
cat "$build/check.sum"
exit $status
