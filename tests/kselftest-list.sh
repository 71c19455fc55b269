#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/kselftest-list.sh - run the kernel's KVM selftests and write docs/kselftests.md
#
#   tests/kselftest-list.sh [--all] [-t SECONDS] [DIR] >docs/kselftests.md
#
# First the programs that kselftest.list names, with their arguments and under
# their profiles; with --all, every other program of the x86 suite, without
# arguments, under linux-7.3.  DIR holds built tests (default: what kselftest.sh
# makes).  GMEM_BUILD names the build.  Progress goes to stderr.
set -u

here=$(dirname "$0")
gmem=${GMEM_BUILD:-build}/gmem
limit=60
all=
while [ $# -gt 0 ]; do
	case $1 in
	--all) all=--all ;;
	-t)
		limit=$2
		shift
		;;
	-*)
		sed -n 's/^#   //p' "$0" >&2
		exit 2
		;;
	*) break ;;
	esac
	shift
done
[ -x "$gmem" ] || { echo "$gmem is not built" >&2; exit 1; }
dir=${1:-$("$here/kselftest.sh" $all)} || exit
work=$(mktemp -d "${TMPDIR:-/tmp}/gmem-kselftest.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The first line that says something, for a cell of a table.
cell() {
	sed 's/|/\\|/g; s/^ *//; s/ *$//' | head -n 1 | cut -c 1-200
}

# Of a skip: what was required.  Of a failed assertion: its place, and what it says after the stack.
reason() {
	case $1 in
	4) sed -n 's/.*# SKIP *-* *//p; /skipping test/p' "$work/out" | cell ;;
	124 | 137) echo "not at its end after $limit s" ;;
	254)
		awk '/Test Assertion Failure/ { on = 1; next }
			on == 1 { place = $1; on = 2; next }
			on == 2 && !/pid=/ && !/^ +[0-9]+\t/ && !/\(inlined by\)/ { sub(/^ +/, ""); print place " " $0; exit }
			END { if (on && place != "") print place }' "$work/out" | cell
		;;
	*)
		reason_line=$(grep '^not ok' "$work/out" | cell)
		[ -n "$reason_line" ] || reason_line=$(tail -n 1 "$work/out" | cell)
		echo "status $1: $reason_line"
		;;
	esac
}

# row PROFILE PROGRAM ARGUMENTS...
row() {
	profile=$1
	program=$2
	shift 2
	echo "$profile $program $*" >&2
	timeout -k 5 "$limit" "$gmem" run --cpu=soft --profile "$profile" -- "$dir/$program" "$@" \
		>"$work/out" 2>&1 </dev/null
	status=$?
	case $status in
	0) result=pass ;;
	4) result=skip ;;
	*) result=fail ;;
	esac
	why=
	[ $status -eq 0 ] || why=$(reason $status)
	[ $status -ne 0 ] || ! grep -q '^ok .*# SKIP' "$work/out" ||
		why="$(grep -c '^ok .*# SKIP' "$work/out") of its cases skipped: $(sed -n 's/^ok .*# SKIP *-* *//p' "$work/out" | cell)"
	note=$(awk -F '\t' -v p="$program" '!/^#/ && $1 == p { print $2 }' "$here/kselftest.why")
	[ $status -eq 0 ] || [ -z "$note" ] || why="$why — $note"
	echo "| \`$program${*:+ $*}\` | $profile | $result | $why |"
	echo "$result" >>"$work/sum"
}

counts() {
	awk '{ n[$1]++ } END { printf "%d pass, %d skip, %d fail.\n", n["pass"], n["skip"], n["fail"] }' "$work/sum"
	: >"$work/sum"
}

head_of_table() {
	printf '\n## %s\n\n| program | profile | result | why |\n|---|---|---|---|\n' "$1"
}

cat <<EOF
# The kernel's KVM selftests under gmem

Made by \`tests/kselftest-list.sh --all\`; not edited by hand. The programs are those of
$(cut -d ' ' -f 1 "$dir/version") ($(cut -d ' ' -f 2 "$dir/version")), unmodified, run by \`gmem run --cpu=soft\` with
$limit s for each. The host's CPU is $(awk -F ': ' '/^vendor_id/ { print $2; exit }' /proc/cpuinfo). \`skip\` is the
program's own decision, with the first thing that it asked for in vain. A \`fail\` is a defect of gmem's unless what
stands behind it says otherwise.
EOF
head_of_table "Named: these must pass"
grep -v '^#' "$here/kselftest.list" | while read -r profiles command; do
	for p in $(echo "$profiles" | tr , ' '); do
		case $p in
		7.4) profile=linux-7.4-vm-attributes ;;
		*) profile=linux-$p ;;
		esac
		# shellcheck disable=SC2086 # program and arguments
		row "$profile" $command </dev/null
	done
done
echo
counts
[ -n "$all" ] || exit 0
head_of_table "The rest of the x86 suite"
while read -r program; do
	awk -v p="$program" '!/^#/ && $2 == p { found = 1 } END { exit !found }' "$here/kselftest.list" && continue
	if [ -x "$dir/$program" ]; then
		row linux-7.3 "$program" </dev/null
	else
		echo "| \`$program\` | | not built | it needs a library that this build of the suite leaves out |"
	fi
done <"$dir/all"
echo
counts
