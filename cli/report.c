// SPDX-License-Identifier: MIT
/*
 * cli/report.c - what gmem tells about a served program, in lines
 *
 * Every line names call, object, value, what was expected, and the rule, so
 * that `gmem explain` can tell the rest.
 */
#include "cli/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/words.h"
#include "core/rule.h"

void report_line(struct report *report, const char *fmt, ...)
{
	char line[REPORT_LINE] = "gmem: ";
	size_t len = strlen(line);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n > 0)
		len += (size_t)n < sizeof(line) - len - 1 ? (size_t)n : sizeof(line) - len - 2;
	line[len++] = '\n';
	/* One write a line: the program may be writing to the same terminal. Nobody is left to tell if it fails. */
	if (write(report->fd, line, len) < 0)
		return;
}

/* Arguments that are masks, by call (part of its name; NULL: any) and object. */
static const struct {
	const char *call, *object;
	enum words_kind kind;
} masks[] = {
	{ "CREATE_GUEST_MEMFD", "flags", WORDS_GMEM_FLAGS },
	{ "USER_MEMORY_REGION", "flags", WORDS_SLOT_FLAGS },
	{ "mmap", "flags", WORDS_MMAP_FLAGS },
	{ NULL, "creation flags", WORDS_GMEM_FLAGS },
	{ NULL, "attributes", WORDS_ATTRIBUTES },
	{ NULL, "prot", WORDS_PROT },
	{ "fallocate", "mode", WORDS_FALLOCATE_MODE },
	{ "ENABLE_CAP", "args[0]", WORDS_HYPERCALLS },
};

/* Numbers that people write in decimal: descriptors, ids, types. */
static const char *const decimals[] = { "fd",	"guest_memfd", "slot",	  "cap",   "id",   "whence", "advice",
					"type", "VM type",     "vm type", "pages", "nent", "address space" };

static const char *value_text(const struct wire_msg *msg, u64 value, char buf[WORDS_MAX])
{
	bool decimal = false;

	for (size_t i = 0; i < RT_ARRAY_SIZE(masks); i++) {
		if (!strcmp(msg->object, masks[i].object) && (!masks[i].call || strstr(msg->call, masks[i].call)))
			return words_mask(masks[i].kind, value, buf);
	}
	for (size_t i = 0; i < RT_ARRAY_SIZE(decimals); i++)
		decimal = decimal || !strcmp(msg->object, decimals[i]);
	/* Descriptors and ids are ints: -1 looks better than 4294967295. */
	if (decimal && (value == (u32)value || value == (u64)(s64)(s32)value))
		snprintf(buf, WORDS_MAX, "%d", (int)value);
	else
		snprintf(buf, WORDS_MAX, "%#" PRIx64, value);
	return buf;
}

/* Of a VM's type the set of all that work is expected. */
static const char *expected_text(const struct wire_msg *msg, char buf[WORDS_MAX])
{
	return msg->rule == RULE_VM_TYPE ? words_mask(WORDS_VM_TYPES, msg->expected, buf) :
					   value_text(msg, msg->expected, buf);
}

static const struct core_rule *rule_of(u32 id)
{
	static const struct core_rule none = { .slug = "?", .check = "the call is legal" };

	return id > RULE_NONE && id < RULE_COUNT ? &core_rules[id] : &none;
}

void report_refusal(struct report *report, const char *program, const struct wire_msg *msg)
{
	const struct core_rule *rule = rule_of(msg->rule);
	char value[WORDS_MAX], expected[WORDS_MAX], error[WORDS_MAX], object[2 * WORDS_MAX] = "", limit[2 * WORDS_MAX] = "";

	char others[64] = "";

	report->refusals += msg->count > 1 ? msg->count : 1;
	if (!report->explain)
		return;
	/* The program is never held up: what is more than it can send is counted. */
	if (msg->rule == RULE_NONE) {
		report_line(report, "%s[%d/%d]: %" PRIu64 " more refusals came too fast to be told", program, msg->pid,
			    msg->tid, msg->count);
		return;
	}
	if (msg->count > 1)
		snprintf(others, sizeof(others), "; %" PRIu64 " before it came too fast to be told", msg->count - 1);
	if (msg->object[0])
		snprintf(object, sizeof(object), "%s = %s, ", msg->object, value_text(msg, msg->value, value));
	if (msg->expected)
		snprintf(limit, sizeof(limit), " (%s)", expected_text(msg, expected));
	report_line(report, "%s[%d/%d]: %s: %sexpected that %s%s: %s (rule %s; gmem explain %s)%s", program, msg->pid,
		    msg->tid, msg->call[0] ? msg->call : "ioctl", object, rule->check, limit,
		    words_errno(msg->error, error), rule->slug, rule->slug, others);
}

/* The sender counts touches by one instruction and tells at 1, 2, 4, 8, ... of them, and at its end. */
void report_touch(struct report *report, const char *program, const struct wire_msg *msg)
{
	bool beyond = msg->rule == RULE_HOST_BEYOND || (msg->size && msg->offset >= msg->size);
	const struct core_rule *rule = rule_of(beyond ? RULE_HOST_BEYOND : RULE_HOST_PRIVATE);
	char times[64] = "", who[WIRE_TEXT + 8] = "";

	report->touches += msg->count - msg->value;
	if (!report->explain)
		return;
	if (msg->count > 1)
		snprintf(times, sizeof(times), ", %" PRIu64 " times by now", msg->count);
	if (msg->text[0])
		snprintf(who, sizeof(who), ": %s", msg->text);
	report_line(report,
		    "%s[%d/%d]: %s a %s page: address %#" PRIx64 ", pc %#" PRIx64 ", file %" PRIu64 ", offset %#" PRIx64
		    "%s%s: SIGBUS (rule %s; gmem explain %s)",
		    program, msg->pid, msg->tid, msg->write ? "store to" : "load from", beyond ? "missing" : "private",
		    msg->address, msg->pc, msg->file, msg->offset, who, times, rule->slug, rule->slug);
}

void report_notice(struct report *report, const char *program, const struct wire_msg *msg)
{
	report_line(report, "%s[%d/%d]: %s", program, msg->pid, msg->tid, msg->text);
}

void report_unserved(struct report *report, const char *program, const struct wire_msg *msg)
{
	report->unserved++;
	if (msg->error)
		report_line(report, "%s[%d/%d]: not started: %s (--allow-unserved starts it on the real kernel)", program,
			    msg->pid, msg->tid, msg->text);
	else
		report_line(report, "%s[%d/%d]: started without gmem: %s", program, msg->pid, msg->tid, msg->text);
}

void report_summary(struct report *report)
{
	report_line(report,
		    "served %" PRIu64 " processes, %" PRIu64 " programs could not be served; %" PRIu64 " files, %" PRIu64
		    " calls refused, %" PRIu64 " forbidden touches",
		    report->served, report->unserved, report->files, report->refusals, report->touches);
}
