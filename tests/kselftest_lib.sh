# SPDX-License-Identifier: MIT
#
# tests/kselftest_lib.sh - what the kselftest*.t share: the built selftests, and a run of one.  Sourced after common.sh
# shellcheck shell=sh disable=SC2154

dir=$("$(dirname "$0")/kselftest.sh" 2>"$work/why")
case $? in
0) ;;
77) skip_all "$(tail -n 1 "$work/why")" ;;
*)
	ok 1 "the selftests build"
	diag <"$work/why"
	done_testing
	;;
esac
echo "# $(cat "$dir/version")"

# selftest PROFILE ENGINE TEST ARGUMENTS...; a skip (exit status 4) is a failure
selftest() {
	profile=$1
	engine=$2
	shift 2
	test=$1
	shift
	timeout -k 5 "${SELFTEST_TIMEOUT:-120}" "$gmem" run --cpu=soft --profile "$profile" --engine "$engine" -- \
		"$dir/$test" "$@" >"$work/out" 2>&1 </dev/null
	status=$?
	ok $status "$test${*:+ $*}, $profile, engine $engine (status $status)"
	[ $status -eq 0 ] || diag <"$work/out"
}
