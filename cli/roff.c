// SPDX-License-Identifier: MIT
/*
 * cli/roff.c - man pages made from tables
 */
#include "cli/roff.h"

#include <ctype.h>
#include <stdio.h>

#include "cli/cli.h"

void roff_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			putchar(*text);
	}
}

void roff_section(const char *title)
{
	printf(".SH %s\n", title);
}

void roff_begin(const char *name, const char *summary)
{
	printf(".\\\" SPDX-License-Identifier: MIT\n"
	       ".\\\" Made from gmem's tables; do not edit.\n.TH ");
	for (const char *c = name; *c; c++)
		putchar(toupper((unsigned char)*c));
	printf(" 7 \"\" \"gmem %s\"\n", GMEM_VERSION);
	roff_section("NAME");
	roff_text(name);
	fputs(" \\- ", stdout);
	roff_text(summary);
	putchar('\n');
}

void roff_tag(const char *tag)
{
	fputs(".TP\n\\fB", stdout);
	roff_text(tag);
	fputs("\\fR\n", stdout);
}
