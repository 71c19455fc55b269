#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/tree.t - documents and parts are as they say: options in the manual page, what refers to files, who includes whom

. "$(dirname "$0")/common.sh"

cd "$(dirname "$0")/.." || exit 99
case $gmem in
/*) ;;
*) gmem=$OLDPWD/$gmem ;;
esac

# nothing TEXT: passed when no line was written to $found; what was is told.
found=$work/found
nothing() {
	[ ! -s "$found" ]
	ok $? "$1"
	diag <"$found"
}

# --- the manual page and --help -----------------------------------------------

# The section of a verb, without its fonts.
section() {
	title="GMEM $(echo "$1" | tr '[:lower:]' '[:upper:]')"
	awk -v head=".SH $title" '/^\.SH/ { on = ($0 == head) } on' man/gmem.1 | sed 's/\\-/-/g; s/\\f[BIR]//g'
}

verbs=$("$gmem" help | awk '/^  [a-z]/ && $1 != "help" { print $1 }')
[ "$(echo "$verbs" | wc -l)" -gt 5 ]
ok $? "gmem help lists the verbs"
for verb in $verbs; do
	section "$verb" >"$work/section"
	[ -s "$work/section" ]
	ok $? "gmem.1 has a section for gmem $verb"
	for option in $("$gmem" "$verb" --help | awk '/^  --/ && $1 != "--help" { sub(/=.*/, "", $1); print $1 }'); do
		grep -q -e "$option\\([^a-z-]\\|\$\\)" "$work/section" || echo "$option"
	done >"$found"
	nothing "... with all of its options"
	grep -o -e '^\.\(B\|BI\|BR\) --.*' -e '" --.*' "$work/section" | grep -o -e '--[a-z][a-z-]*' | sort -u >"$work/told"
	"$gmem" "$verb" --help >"$work/help"
	while read -r option; do
		grep -q -e "$option\\([^a-z-]\\|\$\\)" "$work/help" || echo "$option"
	done <"$work/told" >"$found"
	nothing "... and none that it has not"
done

# --- documents ----------------------------------------------------------------

for page in docs/*.md CONTRIBUTING.md SECURITY.md; do
	grep -q "$page" README.md || echo "$page"
done >"$found"
nothing "README.md leads to every document"

# In backquotes, a path below a folder of the tree; with what the shell would expand.
for page in README.md CONTRIBUTING.md SECURITY.md docs/*.md; do
	grep -o '`[a-z][a-z]*/[A-Za-z0-9_./*-]*`' "$page" | tr -d '`' | grep -v '^build/' | sort -u | while read -r path; do
		ls -d $path >/dev/null 2>&1 || echo "$page: $path"
	done
done >"$found"
nothing "files that documents name are there"

sed -n '/^\.PHONY:/,/[^\\]$/p' Makefile | tr -d '\\' | tr ' \t' '\n\n' |
	grep -v -e '^$' -e PHONY -e '^all$' -e '^clean$' -e FORCE -e '-tests$' | while read -r target; do
	grep -q "make[a-zA-Z= ]* $target\\b" README.md CONTRIBUTING.md docs/*.md || echo "$target"
done >"$found"
nothing "every target of the Makefile is told of"

# --- parts: docs/design.md ------------------------------------------------------

# may PART FOLDER...: it includes headers of these alone.
may() {
	part=$1
	shift
	allowed=$(echo "$part" "$@" | tr ' ' '|')
	grep -n '^#include "' "$part"/*.[chS] | grep -v -E "\"($allowed)/" >"$found"
	nothing "$part/ includes its own headers and those of: ${*:-nobody}"
}
# rt/types.h has names of integers and nothing else.
grep -n '^#include "' uapi/*.h | grep -v -e '"uapi/' -e '"rt/types.h"' >"$found"
nothing "uapi/ knows nothing else"
may rt
may core rt uapi
may cpu rt
may host core rt uapi
may device host cpu core rt uapi
may overlay device host core rt uapi
may check uapi
may diff check uapi
grep -n 'rt_syscall\|__NR_' core/*.c cpu/*.c >"$found"
nothing "core/ and cpu/ make no system call"

# --- files ------------------------------------------------------------------------

for file in */*.[chS] */*.def tests/*.t tests/*.sh; do
	head -n 6 "$file" | grep -q "$file" || echo "$file"
done >"$found"
nothing "every file opens with its path and what it is"
for file in */*.[chS]; do
	[ "$(wc -l <"$file")" -le 850 ] || echo "$file"
done >"$found"
nothing "no file has more than 850 lines"
done_testing
