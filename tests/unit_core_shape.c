// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_shape.c - a shape from its text, as GMEM_SHAPE_HOST carries it
 */
#include <string.h>

#include "core/profile.h"
#include "tests/tap.h"

static void test_fields(void)
{
	struct core_shape s = core_shape_mainline;

	ok(core_shape_parse(&s, "sw_protected=0,private_mem=0,smm=0,tdp=0,gpa_bits=52,hva_limit=0xfffff000,vm_types=33,cpus=6"),
	   "every field by its name");
	ok(!strcmp(s.name, "host"), "a shape that was read is the host's");
	ok(!s.sw_protected && !s.private_mem && !s.smm && !s.tdp, "switches are off");
	is(s.gpa_bits, 52, "guest physical bits");
	is(s.hva_limit, 0xfffff000, "end of user addresses, in hexadecimal");
	is(s.vm_types, 33, "types");
	is(s.cpus, 6, "processors");
	ok(core_shape_parse(&s, "tdp=2"), "a number for a switch");
	ok(s.tdp && !s.smm && !s.sw_protected && !s.private_mem, "is on, and the others stay");
	ok(core_shape_parse(&s, "smm=1,sw_protected=1,private_mem=1"), "the others by 1");
	ok(s.smm && s.sw_protected && s.private_mem, "are on");
	is(s.gpa_bits, 52, "what is not named keeps its value");
}

/* What is read, and what is not; the longest word has 23 letters. */
static void test_texts(void)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{ "", true },
		{ "smm=1,", true },
		{ "cpus=00000000000000000000001", true }, /* 23 digits */
		{ "cpus=000000000000000000000001", false },
		{ "smm", false },
		{ "smm=", false },
		{ "smm=x", false },
		{ "smm=1 ", false },
		{ "smm=1;tdp=1", false },
		{ "smm=-1", false },
		{ "=1", false },
		{ ",smm=1", false },
		{ "Smm=1", false },
		{ "smm=1,other=1", false },
		{ "smm=1,,tdp=1", false },
		{ "abcdefghijklmnopqrstuvw=1", false },
		{ "abcdefghijklmnopqrstuvwx=1", false },
		{ "a name that is far longer than any buffer here could ever hold, and then some, and still more of it=1", false },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct core_shape s = core_shape_mainline;

		is(core_shape_parse(&s, rows[i].text), rows[i].good, "\"%s\" is %s", rows[i].text, rows[i].good ? "read" : "refused");
	}
}

int main(void)
{
	test_fields();
	test_texts();
	return done_testing();
}
