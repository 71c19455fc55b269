# SPDX-License-Identifier: MIT
#
# tests/apt_lib.sh - Debian packages of any suite, outside the system.  Sourced; the caller has $work and unavailable().
#
#   private_suites SUITE...      makes $work/apt: lists of these suites of this machine's archive, at low priority
#   private_sources SUITE...     the same, of their source packages
#   private_apt COMMAND VERB ... apt-get or apt-cache on them
#   private_download PACKAGE     into $work
#
# This machine's apt configuration says where the archive is and is not changed.
# shellcheck shell=sh disable=SC2154

private_suites() {
	private_lists deb "$@"
}

private_sources() {
	private_lists deb-src "$@"
}

private_lists() {
	kind=$1
	shift
	for tool in apt-get apt-cache dpkg-deb tar; do
		command -v $tool >/dev/null || unavailable "$tool is not installed"
	done
	# Whatever the format of its sources; not the security archive, which has no sid.
	archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
		awk '$2 !~ /security/ && $1 !~ /security/ { print $1; exit }')
	[ -n "$archive" ] || unavailable "apt has no archive configured"
	rm -rf "$work/apt"
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/apt/parts"
	: >"$work/apt/status"
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -r $keyring ] && signed=" [signed-by=$keyring]" || signed=
	for suite in "$@"; do
		echo "$kind$signed $archive $suite main"
	done >"$work/apt/sources.list"
	printf 'Package: *\nPin: release o=Debian\nPin-Priority: 1\n' >"$work/apt/preferences"
	private_apt apt-get update >"$work/log" 2>&1 || unavailable "apt-get update: $(private_why)"
}

# apt's options may follow the verb.
private_apt() {
	"$@" -q -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts="$work/apt/parts" \
		-o Dir::Etc::Preferences="$work/apt/preferences" -o Dir::Etc::PreferencesParts="$work/apt/parts" \
		-o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists" \
		-o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt/cache" \
		-o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=2
}

# What apt said last, without the archive's name.
private_why() {
	tail -n 1 "$work/log" | sed 's,//[^/ ]*,//...,g'
}

private_download() {
	(cd "$work" && private_apt apt-get download "$1") >"$work/log" 2>&1 ||
		unavailable "$1 cannot be downloaded: $(private_why)"
}
