/* SPDX-License-Identifier: MIT */
/*
 * overlay/environ.h - the environment that programs started by a served program get
 */
#ifndef GMEM_OVERLAY_ENVIRON_H
#define GMEM_OVERLAY_ENVIRON_H

#include "rt/types.h"

/*
 * The environment for the new program: the caller's, plus what is missing.  It is
 * built on the caller's stack, since a child of vfork(2) could never give back
 * memory that it shares with its parent.
 */
struct ov_env {
	char **vars;
	size_t size; /* bytes wanted at vars, 0 when the caller's own will do */
};

/* asan: the runtime that the new program has to find first, "" if none (overlay/servable.h). */
void ov_env_measure(char *const *envp, const char *asan, struct ov_env *env);
void ov_env_build(char *const *envp, const char *asan, struct ov_env *env, char *room);

/* Put back into the program's own environment what it has lost, for children that libc starts from within itself. */
void ov_env_restore(void);

/* Another variable, "NAME=value", that programs started from here have to get. */
void ov_env_keep(const char *var);

/* Which of LD_PRELOAD's entries we are. */
void ov_env_take_preload(const char *list);

#endif
