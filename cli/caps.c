// SPDX-License-Identifier: MIT
/*
 * cli/caps.c - gmem caps: capability × (device, VM types)
 *
 * The device answers for the host, a VM for itself, and only the second tells
 * what that VM may do: so every scope is a column.  Of an emulated kernel the
 * answers come from the core's tables, of the real one from its ioctls.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/kernel.h"
#include "cli/words.h"
#include "uapi/kvm.h"

#define CAPS_MAX   64
#define SCOPES_MAX (1 + 32) /* the device, then VM types */

struct caps_options {
	struct kernel_request kernel;
	bool all, host, json;
};

#define FIELD(name) offsetof(struct caps_options, name)

static const struct option options[] = {
	{ OPTION_TEXT, "profile", FIELD(kernel.profile), "NAME", "kernel generation (gmem profiles); default: the newest" },
	KERNEL_OPTIONS(kernel),
	{ OPTION_FLAG, "all", FIELD(all), NULL, "one table of all profiles" },
	{ OPTION_FLAG, "host", FIELD(host), NULL, "ask the real /dev/kvm" },
	{ OPTION_FLAG, "json", FIELD(json), NULL, "print JSON" },
	{ .kind = OPTION_END }
};

/* The answers of one kernel. */
struct answers {
	const char *name, *shape;
	unsigned scopes;	   /* columns */
	int scope[SCOPES_MAX];	   /* CORE_SCOPE_DEVICE, then VM types */
	int value[SCOPES_MAX][CAPS_MAX]; /* -1: the VM could not be made */
};

static void add_types(struct answers *a, u64 types)
{
	a->scope[a->scopes++] = CORE_SCOPE_DEVICE;
	for (unsigned type = 0; type < SCOPES_MAX - 1; type++) {
		if (types & 1ULL << type)
			a->scope[a->scopes++] = (int)type;
	}
}

static void answers_of_profile(struct answers *a, const struct core_sys *sys)
{
	*a = (struct answers){ .name = sys->profile->name, .shape = sys->shape.name };
	add_types(a, sys->vm_types);
	for (unsigned s = 0; s < a->scopes; s++) {
		for (unsigned c = 0; c < core_cap_count; c++)
			a->value[s][c] = core_cap(sys, a->scope[s], core_caps[c].cap);
	}
}

/* -errno when there is no /dev/kvm to be asked. */
static int answers_of_host(struct answers *a)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), types;

	if (kvm < 0)
		return -errno;
	*a = (struct answers){ .name = "host", .shape = "host" };
	types = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	add_types(a, types > 0 ? (u64)types : 1);
	for (unsigned s = 0; s < a->scopes; s++) {
		bool device = a->scope[s] == CORE_SCOPE_DEVICE;
		int fd = device ? kvm : ioctl(kvm, KVM_CREATE_VM, (unsigned long)a->scope[s]), error = errno;

		/* A type that is offered but cannot be made is a question mark; for want of memory nothing is known. */
		if (fd < 0 && (error == ENOMEM || error == EMFILE || error == ENFILE)) {
			close(kvm);
			return -error;
		}
		for (unsigned c = 0; c < core_cap_count; c++)
			a->value[s][c] = fd < 0 ? -1 : ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)core_caps[c].cap);
		if (!device && fd >= 0)
			close(fd);
	}
	close(kvm);
	return 0;
}

static const char *scope_name(int scope, char buf[WORDS_MAX])
{
	if (scope == CORE_SCOPE_DEVICE)
		return "device";
	if (words_vm_type((unsigned)scope))
		return words_vm_type((unsigned)scope);
	snprintf(buf, WORDS_MAX, "type %d", scope);
	return buf;
}

static const char *value_text(const struct answers *a, unsigned s, unsigned c, char buf[WORDS_MAX])
{
	return a->value[s][c] < 0 ? strcpy(buf, "?") : words_cap(core_caps[c].nature, a->value[s][c], buf);
}

static void print_cell(const char *text, int width)
{
	printf("  %-*s", width, text);
}

static const char *cap_name(unsigned c)
{
	return core_caps[c].name + strlen("KVM_CAP_");
}

static void print_table(const struct answers *a)
{
	char buf[WORDS_MAX];
	int width[SCOPES_MAX];

	for (unsigned s = 0; s < a->scopes; s++) {
		width[s] = (int)strlen(scope_name(a->scope[s], buf));
		for (unsigned c = 0; c < core_cap_count; c++) {
			int len = (int)strlen(value_text(a, s, c, buf));

			width[s] = len > width[s] ? len : width[s];
		}
	}
	printf("%s, shape %s\n%-30s %4s", a->name, a->shape, "capability", "nr");
	for (unsigned s = 0; s < a->scopes; s++)
		print_cell(scope_name(a->scope[s], buf), s + 1 < a->scopes ? width[s] : 0);
	putchar('\n');
	for (unsigned c = 0; c < core_cap_count; c++) {
		printf("%-30s %4u", cap_name(c), core_caps[c].cap);
		for (unsigned s = 0; s < a->scopes; s++)
			print_cell(value_text(a, s, c, buf), s + 1 < a->scopes ? width[s] : 0);
		putchar('\n');
	}
}

static const char *nature_name(enum core_cap_nature nature)
{
	switch (nature) {
	case CORE_CAP_BOOL:
		return "bool";
	case CORE_CAP_COUNT:
		return "count";
	case CORE_CAP_VM_TYPE_MASK:
		return "vm-type-mask";
	case CORE_CAP_ATTRIBUTE_MASK:
		return "attribute-mask";
	case CORE_CAP_FLAG_MASK:
		return "flag-mask";
	case CORE_CAP_FEATURE_MASK:
		return "feature-mask";
	case CORE_CAP_HYPERCALL_MASK:
		return "hypercall-mask";
	}
	return "unknown";
}

static void json_value(struct json *json, const struct answers *a, unsigned s, unsigned c)
{
	u64 value = (u64)a->value[s][c], unknown = value, bit;
	char buf[WORDS_MAX];
	enum words_kind kind;
	const char *name;

	json_open(json, NULL, '{');
	json_text(json, "scope", scope_name(a->scope[s], buf));
	if (a->value[s][c] >= 0) {
		json_number(json, "value", value);
		if (words_cap_kind(core_caps[c].nature, &kind)) {
			json_open(json, "names", '[');
			for (unsigned i = 0; (name = words_name(kind, i, &bit)); i++) {
				if (value & bit)
					json_text(json, NULL, name);
				unknown &= ~bit;
			}
			json_close(json, ']');
			json_number(json, "unknown", unknown);
		}
	}
	json_close(json, '}');
}

static void json_answers(struct json *json, const struct answers *a)
{
	json_open(json, NULL, '{');
	json_text(json, "profile", a->name);
	json_text(json, "shape", a->shape);
	json_open(json, "capabilities", '[');
	for (unsigned c = 0; c < core_cap_count; c++) {
		json_open(json, NULL, '{');
		json_text(json, "name", core_caps[c].name);
		json_number(json, "number", core_caps[c].cap);
		json_text(json, "nature", nature_name(core_caps[c].nature));
		json_open(json, "answers", '[');
		for (unsigned s = 0; s < a->scopes; s++)
			json_value(json, a, s, c);
		json_close(json, ']');
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

/* The column of a scope in one kernel's answers; -1 when that kernel has no such VM. */
static int column_of(const struct answers *a, int scope)
{
	for (unsigned s = 0; s < a->scopes; s++) {
		if (a->scope[s] == scope)
			return (int)s;
	}
	return -1;
}

static const char *cell_of(const struct answers *a, int scope, unsigned c, char buf[WORDS_MAX])
{
	int s = column_of(a, scope);

	return s < 0 ? "-" : value_text(a, (unsigned)s, c, buf);
}

/* One row per capability and scope, one column per profile; '-' where a profile has no such VM. */
static void print_all(const struct answers *all, unsigned count, const struct answers *widest)
{
	char buf[WORDS_MAX];

	printf("%-30s %-12s", "capability", "asked of");
	for (unsigned i = 0; i < count; i++)
		print_cell(all[i].name, i + 1 < count ? 16 : 0);
	putchar('\n');
	for (unsigned c = 0; c < core_cap_count; c++) {
		for (unsigned s = 0; s < widest->scopes; s++) {
			printf("%-30s %-12s", s ? "" : cap_name(c), scope_name(widest->scope[s], buf));
			for (unsigned i = 0; i < count; i++)
				print_cell(cell_of(&all[i], widest->scope[s], c, buf), i + 1 < count ? 16 : 0);
			putchar('\n');
		}
	}
}

static int show_all(const struct verb *verb, const struct caps_options *o)
{
	static struct answers all[16];
	struct kernel_request request = o->kernel;
	struct json json = { 0 };
	unsigned count = 0, widest = 0;
	char why[KERNEL_WHY];

	if (o->kernel.profile || o->kernel.module_param || o->kernel.vm_types)
		return options_error(&verb->usage, "--all goes with --shape and --json only");
	for (; count < core_profile_count && count < RT_ARRAY_SIZE(all); count++) {
		struct kernel kernel;

		request.profile = core_profiles[count].name;
		if (kernel_init(&kernel, &request, why) < 0)
			return options_error(&verb->usage, "%s", why);
		answers_of_profile(&all[count], &kernel.sys);
		if (all[count].scopes > all[widest].scopes)
			widest = count;
	}
	if (!o->json) {
		print_all(all, count, &all[widest]);
		return finish_output(0);
	}
	json_open(&json, NULL, '[');
	for (unsigned i = 0; i < count; i++)
		json_answers(&json, &all[i]);
	json_close(&json, ']');
	return finish_output(0);
}

static int show(const struct answers *a, bool as_json)
{
	struct json json = { 0 };

	if (as_json)
		json_answers(&json, a);
	else
		print_table(a);
	return finish_output(0);
}

static int caps(const struct verb *verb, int argc, char **argv)
{
	static struct answers answers;
	struct caps_options o = { 0 };
	struct kernel kernel;
	char why[KERNEL_WHY];
	int status, error, first = options_parse(&verb->usage, argc, argv, &o, &status);

	if (first < 0)
		return status;
	if (first < argc)
		return options_error(&verb->usage, "what is %s?", argv[first]);
	if (core_cap_count > CAPS_MAX) {
		complain("more capabilities than this command can show");
		return EXIT_ANSWER_NO;
	}
	if (o.all && o.host)
		return options_error(&verb->usage, "--all and --host exclude each other");
	if (o.all)
		return show_all(verb, &o);
	if (o.host || (o.kernel.profile && !strcmp(o.kernel.profile, "host"))) {
		error = -answers_of_host(&answers);
		if (!error)
			return show(&answers, o.json);
		complain(error == ENOENT ? "no /dev/kvm" : "/dev/kvm cannot be asked: %s", strerror(error));
		return EXIT_ANSWER_NO;
	}
	if (kernel_init(&kernel, &o.kernel, why) < 0)
		return options_error(&verb->usage, "%s", why);
	answers_of_profile(&answers, &kernel.sys);
	return show(&answers, o.json);
}

const struct verb verb_caps = {
	.usage = { .name = "caps",
		   .summary = "Tell which guest memory capabilities a kernel has",
		   .synopsis = "[--profile NAME | --all | --host] [--json]",
		   .options = options,
		   .error = EXIT_USAGE },
	.main = caps,
};
