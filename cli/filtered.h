/* SPDX-License-Identifier: MIT */
/*
 * cli/filtered.h - `gmem run` started by a served program that has installed a seccomp filter
 */
#ifndef GMEM_CLI_FILTERED_H
#define GMEM_CLI_FILTERED_H

/* Say so if it is, and be ready to say which call is forbidden. */
void filtered_warn(void);

#endif
