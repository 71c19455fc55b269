#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/golden.t - what real kernels answered, answered again by gmem's profiles in the shape of their machines
#
# golden/KERNEL holds what `gmem check --answers` printed there (docs/oracle.md).  golden/why lists what may
# differ: KERNEL, case and label (patterns of the shell) and the reason, parted by tabs.  Each entry must
# be needed.

. "$(dirname "$0")/common.sh"

golden=$(dirname "$0")/golden
engine=$(engines | head -n 1)
[ -n "$engine" ] || skip_all "no engine runs on this host"

# Each answer with its case, so that a line says what it is.
flat() {
	awk '/^#/ { next } /^\[/ { c = $1; print; next } { print c "\t" $0 }' "$1"
}

# unexplained KERNEL: lines of a diff that no entry of golden/why has; entries that were of use go to $work/used.
unexplained() {
	while IFS= read -r line; do
		case $line in [\<\>]*) ;; *) continue ;; esac
		text=${line#??}
		its_case=${text#?}
		its_case=${its_case%%]*}
		its_label=${text#*	}
		its_label=${its_label%	*}
		reason=
		while IFS='	' read -r kernel case label _; do
			# shellcheck disable=SC2254 # patterns
			case $kernel,$its_case in "$1",$case) ;; *) continue ;; esac
			# shellcheck disable=SC2254
			case $its_label in
			$label)
				reason=y
				printf '%s\t%s\t%s\n' "$kernel" "$case" "$label" >>"$work/used"
				;;
			esac
		done <"$golden/why"
		[ -n "$reason" ] || echo "$line"
	done
}

for file in "$golden"/[0-9]*; do
	name=$(basename "$file")
	profile=$(sed -n 's/^# profile: //p' "$file")
	shape=$(sed -n 's/^# shape: //p' "$file")
	timeout -k 5 120 "$gmem" check --against "$profile" --engine "$engine" --shape "$shape" --answers >"$work/out" 2>"$work/err"
	status=$?
	[ $status -eq 0 ] || diag <"$work/err"
	flat "$file" >"$work/kernel"
	flat "$work/out" >"$work/gmem"
	diff "$work/kernel" "$work/gmem" >"$work/diff"
	: >"$work/used"
	unexplained "$name" <"$work/diff" >"$work/left"
	[ $status -eq 0 ] && [ ! -s "$work/left" ]
	ok $? "$profile answers as $(sed -n 's/^# kernel: \([^,]*\).*/\1/p' "$file"): $(grep -vc '^\[[^	]*$' "$work/kernel") answers"
	diag <"$work/left"
	sed -n "s/^\($name	[^	]*	[^	]*\)	.*/\1/p" "$golden/why" | sort -u >"$work/listed"
	sort -u "$work/used" >"$work/needed"
	is "$(comm -3 "$work/listed" "$work/needed")" "" "$name: what may differ does, $(wc -l <"$work/listed") entries"
done
[ "$tap_count" -gt 0 ] || skip_all "no answers are kept"
done_testing
