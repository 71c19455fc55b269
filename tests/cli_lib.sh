# SPDX-License-Identifier: MIT
# tests/cli_lib.sh - TAP for the shell tests of the command; sourced by tests/cli_*.t
#
# GMEM_BUILD names the build directory (default: build).

cd "$(dirname "$0")/.." || exit 1
build=${GMEM_BUILD:-build}
case $build in
/*) ;;
*) build=$PWD/$build ;;
esac
gmem=$build/gmem
count=0
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

if [ ! -x "$gmem" ]; then
	echo "1..0 # SKIP $gmem is not built"
	exit 77
fi

# check DESCRIPTION: the status of the last command decides.
check() {
	if [ $? -eq 0 ]; then verdict="ok"; else verdict="not ok"; fi
	count=$((count + 1))
	echo "$verdict $count - $1"
	[ "$verdict" = ok ] || failed=$((failed + 1))
}

# is GOT WANT DESCRIPTION
is() {
	[ "$1" = "$2" ]
	check "$3"
	[ "$1" = "$2" ] || printf '%s\n' "got:    $1" "wanted: $2" | sed 's/^/# /'
}

# like TEXT PATTERN DESCRIPTION: a pattern of case.
like() {
	# shellcheck disable=SC2254
	case $1 in
	$2) true ;;
	*) false ;;
	esac
	check "$3"
	# shellcheck disable=SC2254
	case $1 in
	$2) ;;
	*) printf '%s\n' "got:    $1" "wanted: $2" | sed 's/^/# /' ;;
	esac
}

# skip N REASON
skip() {
	for _ in $(seq "$1"); do
		count=$((count + 1))
		echo "ok $count # SKIP $2"
	done
}

done_testing() {
	echo "1..$count"
	[ $failed -eq 0 ]
}
