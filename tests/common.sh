# SPDX-License-Identifier: MIT
#
# tests/common.sh - what the *.t share: TAP, the build, the engines of this host.  Sourced.

build=${GMEM_BUILD:-build}
gmem=$build/gmem
tap_count=0
tap_failed=0

work=$(mktemp -d "${TMPDIR:-/tmp}/gmem-test.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# ok STATUS TEXT: a test point, passed when STATUS is 0.
ok() {
	tap_count=$((tap_count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_count - $2"
	else
		echo "not ok $tap_count - $2"
		tap_failed=$((tap_failed + 1))
	fi
}

# is GOT WANTED TEXT
is() {
	if [ "$1" = "$2" ]; then
		ok 0 "$3"
	else
		ok 1 "$3"
		printf 'got: %s\nwanted: %s\n' "$1" "$2" | diag
	fi
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count # SKIP $1"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# Lines from stdin, as comments; not more of them than a reader wants.
diag() {
	sed 's/^/# /' | head -n "${1:-40}"
}

done_testing() {
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ]
	exit
}

[ -x "$gmem" ] || skip_all "$gmem is not built"

# Engines that this host can run; GMEM_ENGINES overrides.
engines() {
	if [ -n "${GMEM_ENGINES:-}" ]; then
		echo "$GMEM_ENGINES"
		return
	fi
	for engine in dp eg remap; do
		"$gmem" run --engine $engine -- true >/dev/null 2>&1 && echo $engine
	done
}

# run_tap LABEL COMMAND...: a program that prints TAP itself; its points are taken over, each with the label.
run_tap() {
	label=$1
	shift
	timeout -k 5 "${RUN_TIMEOUT:-60}" "$@" >"$work/tap" 2>"$work/err"
	status=$?
	planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$work/tap")
	while IFS= read -r line; do
		case $line in
		"1..0 # SKIP"*) skip "$label: ${line#*SKIP }" ;;
		*"# SKIP"*) skip "$label: ${line#*SKIP }" ;;
		"ok "*) ok 0 "$label: ${line#ok * - }" ;;
		"not ok "*) ok 1 "$label: ${line#not ok * - }" ;;
		"#"*) echo "$line" ;;
		esac
	done <"$work/tap"
	# A program that died printed no plan: that is a failure of its own.
	if [ -z "$planned" ]; then
		ok 1 "$label: ran to its end (status $status)"
		{ tail -n 5 "$work/tap"; cat "$work/err"; } | diag
	elif [ "$(grep -c '^\(not \)\?ok ' "$work/tap")" -ne "$planned" ]; then
		ok 1 "$label: ran the $planned tests of its plan"
		diag <"$work/err"
	elif [ $status -ne 0 ] && [ $status -ne 77 ] && ! grep -q '^not ok ' "$work/tap"; then
		# All points passed, and yet it failed: at its end, say, or by a sanitizer.
		ok 1 "$label: ended well (status $status)"
		diag <"$work/err"
	fi
}

# run_native PROGRAM: a program that states what a kernel does, on the real one where there is one, then under gmem.
run_native() {
	if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		run_tap "real kernel" "$1"
	fi
	for engine in $(engines); do
		for profile in linux-6.18 linux-7.4; do
			run_tap "$profile, $engine" "$gmem" run --profile $profile --engine "$engine" -- "$1"
		done
	done
}
