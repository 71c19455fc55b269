// SPDX-License-Identifier: MIT
/*
 * diff/print.c - results in words, and steps as a program that compiles on its own
 */
#include "diff/diff.h"

#include <inttypes.h>
#include <string.h>

void diff_result_text(const struct diff_result *r, char *buf, size_t size)
{
	size_t len;

	if (r->sig) {
		snprintf(buf, size, "%s code %d at +%#" PRIx64, r->sig < 0 ? "child died" : strsignal(r->sig), r->code, r->aux);
		return;
	}
	if (r->ret == -1000)
		snprintf(buf, size, "skipped");
	else if (r->ret < 0)
		snprintf(buf, size, "%s", strerrorname_np((int)-r->ret) ? strerrorname_np((int)-r->ret) : "?");
	else
		snprintf(buf, size, "%" PRId64, r->ret);
	len = strlen(buf);
	if (r->code)
		snprintf(buf + len, size - len, ", exit %#x", (unsigned)r->code);
	len = strlen(buf);
	if (r->aux)
		snprintf(buf + len, size - len, ", wrote or read %#" PRIx64, r->aux);
}

void diff_print_step(FILE *out, const struct diff_step *step)
{
	fprintf(out, "%s(", diff_names[step->kind]);
	for (unsigned i = 0; i < diff_args[step->kind]; i++)
		fprintf(out, step->a[i] < 10 ? "%s%" PRIu64 : "%s%#" PRIx64, i ? ", " : "", step->a[i]);
	fputc(')', out);
}

void diff_print_program(FILE *out, const struct diff_step *steps, unsigned count, const char *title)
{
	fprintf(out, "/*\n * %s\n *\n * cc -o repro repro.c; run it on both and compare what it prints.\n */\n", title);
	/* Of the functions only those of its steps are used. */
	fputs("#define _GNU_SOURCE\n#pragma GCC diagnostic ignored \"-Wunused-function\"\n", out);
	fputs(diff_calls_text, out);
	fputs("\n#define SHOW(call) show(#call, call)\n\n"
	      "static void show(const char *call, struct result r)\n"
	      "{\n"
	      "\tprintf(\"%s: %lld\", call, (long long)r.ret);\n"
	      "\tif (r.ret < 0 && r.ret != SKIPPED)\n"
	      "\t\tprintf(\" (%s)\", strerror((int)-r.ret));\n"
	      "\tprintf(\", %#llx\", (unsigned long long)r.aux);\n"
	      "\tif (r.code && !r.sig)\n"
	      "\t\tprintf(\", exit %#x\", (unsigned)r.code);\n"
	      "\tif (r.sig)\n"
	      "\t\tprintf(\", signal %d code %d\", r.sig, r.code);\n"
	      "\tputchar('\\n');\n"
	      "\tfflush(stdout);\n"
	      "}\n\n"
	      "int main(void)\n"
	      "{\n"
	      "\tif (begin()) {\n"
	      "\t\tperror(\"begin\");\n"
	      "\t\treturn 1;\n"
	      "\t}\n",
	      out);
	for (unsigned i = 0; i < count; i++) {
		fputs("\tSHOW(", out);
		diff_print_step(out, &steps[i]);
		fputs(");\n", out);
	}
	fputs("\tend_sequence();\n\treturn 0;\n}\n", out);
}
