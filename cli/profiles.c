// SPDX-License-Identifier: MIT
/*
 * cli/profiles.c - gmem profiles: the kernel generations that gmem knows
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/roff.h"
#include "cli/words.h"
#include "core/profile.h"

struct profiles_options {
	bool json, man;
};

#define FIELD(name) offsetof(struct profiles_options, name)

static const struct option options[] = {
	{ OPTION_FLAG, "json", FIELD(json), NULL, "print JSON" },
	{ OPTION_FLAG, "man", FIELD(man), NULL, "print gmem-profiles(7)" },
	{ .kind = OPTION_END }
};

/* Properties by name, for JSON and the man page. */
struct property {
	const char *name;
	size_t field;
	const char *text;
};

#define PROPERTY(field, text) { #field, offsetof(struct core_profile, field), text }

static const struct property properties[] = {
	PROPERTY(has_gmem, "KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION2"),
	PROPERTY(has_private_types, "VM types other than 0"),
	PROPERTY(gmem_for_all_types, "guest_memfd slots on VMs without private memory"),
	PROPERTY(has_mmap, "files can be mapped: GUEST_MEMFD_FLAG_MMAP, INIT_SHARED"),
	PROPERTY(has_pre_fault, "KVM_PRE_FAULT_MEMORY"),
	PROPERTY(vm_attributes, "KVM_SET_MEMORY_ATTRIBUTES on a VM"),
	PROPERTY(in_place_known, "in-place conversion: KVM_SET_MEMORY_ATTRIBUTES2 on a file"),
	PROPERTY(in_place_default, "in-place conversion is on by default"),
	PROPERTY(in_place_param, "module parameter gmem_in_place_conversion can be set"),
	PROPERTY(own_fs, "guest_memfd has a file system of its own"),
};

static bool has(const struct core_profile *profile, const struct property *property)
{
	return *(const bool *)((const char *)profile + property->field);
}

static const char *title(const struct core_profile *profile)
{
	return profile == core_profile_newest() ? " (default)" : "";
}

static void print_list(void)
{
	for (unsigned i = 0; i < core_profile_count; i++) {
		const struct core_profile *p = &core_profiles[i];
		char types[WORDS_MAX];

		printf("%s%s\n  %s\n  checked against: %s\n  VM types: %s\n", p->name, title(p), p->summary, p->checked,
		       words_mask(WORDS_VM_TYPES, p->known_vm_types, types));
	}
	printf("host\n  the running kernel, passed through\n");
}

static void print_json(void)
{
	struct json json = { 0 };
	char buf[WORDS_MAX];

	json_open(&json, NULL, '[');
	for (unsigned i = 0; i < core_profile_count; i++) {
		const struct core_profile *p = &core_profiles[i];

		json_open(&json, NULL, '{');
		json_text(&json, "name", p->name);
		json_text(&json, "summary", p->summary);
		json_text(&json, "checked", p->checked);
		json_bool(&json, "default", p == core_profile_newest());
		for (size_t k = 0; k < RT_ARRAY_SIZE(properties); k++)
			json_bool(&json, properties[k].name, has(p, &properties[k]));
		json_text(&json, "bind_conflict_errno", words_errno(p->bind_conflict_errno, buf));
		json_open(&json, "known_vm_types", '[');
		for (unsigned type = 0; type < WORDS_VM_TYPE_COUNT; type++) {
			if (p->known_vm_types & 1ULL << type)
				json_text(&json, NULL, words_vm_type(type));
		}
		json_close(&json, ']');
		json_close(&json, '}');
	}
	json_close(&json, ']');
}

static void print_man(void)
{
	roff_begin("gmem-profiles", "kernel generations that gmem can be");
	roff_section("DESCRIPTION");
	fputs("A profile is what a kernel generation answers, as a table.\n.B gmem run \\-\\-profile\nchooses one.\n"
	      "VM types other than default and sw\\-protected exist only where\n.B \\-\\-vm\\-types\nasks for them.\n",
	      stdout);
	roff_section("PROFILES");
	for (unsigned i = 0; i < core_profile_count; i++) {
		const struct core_profile *p = &core_profiles[i];
		char types[WORDS_MAX];

		roff_tag(p->name);
		roff_text(p->summary);
		fputs(".\nChecked against: ", stdout);
		roff_text(p->checked);
		fputs(".\nVM types known: ", stdout);
		roff_text(words_mask(WORDS_VM_TYPES, p->known_vm_types, types));
		fputs(".\n", stdout);
		if (p == core_profile_newest())
			fputs("This is the default.\n", stdout);
		for (size_t k = 0; k < RT_ARRAY_SIZE(properties); k++) {
			if (!has(p, &properties[k]))
				continue;
			fputs(".br\n\\(bu ", stdout);
			roff_text(properties[k].text);
			putchar('\n');
		}
	}
	roff_tag("host");
	fputs("The running kernel, passed through.\n", stdout);
	roff_section("SEE ALSO");
	fputs(".BR gmem (1),\n.BR gmem\\-rules (7),\n.BR gmem (7)\n", stdout);
}

static int profiles(const struct verb *verb, int argc, char **argv)
{
	struct profiles_options o = { 0 };
	int status, first = options_parse(&verb->usage, argc, argv, &o, &status);

	if (first < 0)
		return status;
	if (first < argc)
		return options_error(&verb->usage, "what is %s?", argv[first]);
	if (o.man)
		print_man();
	else if (o.json)
		print_json();
	else
		print_list();
	return finish_output(0);
}

const struct verb verb_profiles = {
	.usage = { .name = "profiles",
		   .summary = "List the kernel generations that gmem knows",
		   .synopsis = "[--json]",
		   .options = options,
		   .error = EXIT_USAGE },
	.main = profiles,
};
