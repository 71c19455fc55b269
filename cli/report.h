/* SPDX-License-Identifier: MIT */
/*
 * cli/report.h - what gmem tells about a served program, in lines
 */
#ifndef GMEM_CLI_REPORT_H
#define GMEM_CLI_REPORT_H

#include "overlay/wire.h"

#define REPORT_LINE 1024

struct report {
	int fd;	      /* where lines go: stderr, or the report file */
	bool explain; /* refusals and touches are printed, not only counted */
	u64 served, unserved, refusals, touches, files;
};

/* Each prints at most one line, in one write(2); program names the sender. */
void report_refusal(struct report *report, const char *program, const struct wire_msg *msg);
void report_touch(struct report *report, const char *program, const struct wire_msg *msg);
void report_notice(struct report *report, const char *program, const struct wire_msg *msg);
void report_unserved(struct report *report, const char *program, const struct wire_msg *msg);
/* A line of gmem's own. */
void report_line(struct report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_summary(struct report *report);

#endif
