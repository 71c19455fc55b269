// SPDX-License-Identifier: MIT
/*
 * overlay/environ.c - the environment that programs started by a served program get
 *
 * Theory of operation: the emulation lives in LD_PRELOAD and the GMEM_* variables.  A program that
 * starts another one may have lost them (clearenv(3)) or never pass them on; the other would use the
 * real kernel unnoticed.  So what was there at the start is kept, and put back where it is missing.
 *
 *  ENV-1  LD_PRELOAD is [ASan's runtime:]our object[:whatever else the caller wants].  The runtime has to be first; it is
 *	   put there for a program that is linked with it, and when the caller wants it, of whose list it stays a
 *	   part.  `gmem run` writes it so, too (cli/program.c).
 *  ENV-2  A variable that is there, by its name, stays as the caller has it.
 *  ENV-3  An environment with the broker of another run is that run's: it is left alone.
 *  ENV-4  One that cannot be read is left to the kernel, whose answer is EFAULT.
 */
#include "overlay/environ.h"

#include "overlay/overlay.h"
#include "overlay/servable.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/user.h"

#define VARIABLES_MAX 32 /* of ours, and the NULL */

/* One entry of LD_PRELOAD. */
struct entry {
	const char *text;
	size_t len;
};

static bool separates(char c)
{
	return c == ':' || c == ' ' || c == '\t' || c == '\n';
}

/* The first entry of the list, and where the next may begin; len 0 at the end. */
static struct entry next_entry(const char **list)
{
	struct entry e;

	while (separates(**list))
		(*list)++;
	e.text = *list;
	for (e.len = 0; e.text[e.len] && !separates(e.text[e.len]);)
		e.len++;
	*list += e.len;
	return e;
}

static bool entry_is(struct entry e, const char *text)
{
	return e.len == rt_strlen(text) && !memcmp(e.text, text, e.len);
}

static bool entry_is_asan(struct entry e)
{
	char name[sizeof(ov_config.object)];

	if (!e.len || e.len >= sizeof(name))
		return false;
	memcpy(name, e.text, e.len);
	name[e.len] = '\0';
	return servable_is_asan(name);
}

void ov_env_keep(const char *var)
{
	size_t n = rt_strlen(var) + 1;

	if (ov_config.env_len + n > sizeof(ov_config.env))
		return;
	memcpy(ov_config.env + ov_config.env_len, var, n);
	ov_config.env_len += n;
}

void ov_env_take_preload(const char *list)
{
	struct entry e = next_entry(&list);

	if (entry_is_asan(e))
		e = next_entry(&list);
	if (!e.len || e.len >= sizeof(ov_config.object))
		return;
	memcpy(ov_config.object, e.text, e.len);
	ov_config.object[e.len] = '\0';
}

/* What the caller wants: a runtime that we put in front went together with what follows it. */
static const char *callers_part(const char *list)
{
	const char *rest = list;

	if (!entry_is_asan(next_entry(&rest)))
		return list;
	return entry_is(next_entry(&rest), ov_config.object) ? rest : list;
}

/* The runtime to be first: the one that the program needs, else the caller's; len 0 for none. */
static struct entry first_asan(const char *list, const char *asan)
{
	struct entry e = { asan, rt_strlen(asan) };
	const char *rest = callers_part(list);

	while (!*asan) {
		e = next_entry(&rest);
		if (!e.len || entry_is_asan(e))
			break;
	}
	return e;
}

/* ENV-1, for a program that needs this ASan runtime ("" if none). */
static bool preload_right(const char *list, const char *asan)
{
	struct entry first = first_asan(list, asan), e = next_entry(&list);

	if (first.len) {
		if (e.len != first.len || memcmp(e.text, first.text, e.len) != 0)
			return false;
		e = next_entry(&list);
	}
	return entry_is(e, ov_config.object);
}

static size_t append(char *buf, size_t at, struct entry e)
{
	if (at)
		buf[at++] = ':';
	memcpy(buf + at, e.text, e.len);
	return at + e.len;
}

/* ENV-1; for buf see preload_room(). */
static void write_preload(char *buf, const char *list, const char *asan)
{
	struct entry first = first_asan(list, asan), object = { ov_config.object, rt_strlen(ov_config.object) }, e;
	const char *rest = callers_part(list);
	size_t at = first.len ? append(buf, 0, first) : 0;

	at = append(buf, at, object);
	for (e = next_entry(&rest); e.len; e = next_entry(&rest)) {
		if (!entry_is(e, ov_config.object))
			at = append(buf, at, e);
	}
	buf[at] = '\0';
}

/* Length of "NAME=". */
static size_t name_len(const char *var)
{
	size_t n = 0;

	while (var[n] && var[n] != '=')
		n++;
	return n + 1;
}

/* The value of the variable that begins as prefix, "NAME=..." up to its '=', does; NULL when it is missing. */
static const char *value_of(char *const *envp, const char *prefix)
{
	size_t n = name_len(prefix), i;

	for (; envp && *envp; envp++) {
		for (i = 0; i < n && (*envp)[i] == prefix[i];)
			i++;
		if (i == n)
			return *envp + n;
	}
	return NULL;
}

/* ENV-3 */
static bool of_another_run(char *const *envp)
{
	const char *broker = value_of(envp, "GMEM_BROKER=");

	return broker && !rt_streq(broker, ov_config.broker);
}

#define FOR_EACH_KEPT(var)                                                                                             \
	for (const char *var = ov_config.env; var < ov_config.env + ov_config.env_len; var += rt_strlen(var) + 1)

static bool lacks_any(char *const *envp)
{
	FOR_EACH_KEPT (var) {
		if (!value_of(envp, var))
			return true;
	}
	return false;
}

static const char *preload_of(char *const *envp)
{
	const char *list = value_of(envp, "LD_PRELOAD=");

	return list ? list : "";
}

static size_t count_vars(char *const *envp)
{
	size_t n = 0;

	while (envp && envp[n])
		n++;
	return n;
}

static bool string_readable(u64 at)
{
	char part[128];
	int ret = 0;

	while (at && (ret = rt_copy_string_in(part, at, sizeof(part))) == -ENAMETOOLONG)
		at += sizeof(part);
	return ret == 0;
}

/* ENV-4 */
static bool readable(char *const *envp)
{
	struct ov_guard guard;
	u64 var = 0;
	bool ret;

	ov_enter(&guard);
	do {
		ret = rt_copy_in(&var, (u64)(uintptr_t)envp, sizeof(var)) == 0 && string_readable(var);
		envp++;
	} while (ret && var);
	ov_leave(&guard);
	return ret;
}

static size_t preload_room(char *const *envp, const char *asan)
{
	/* An entry of the list may stand twice. */
	return 2 * rt_strlen(preload_of(envp)) + rt_strlen(asan) + sizeof(ov_config.object) + sizeof("LD_PRELOAD=") + 4;
}

void ov_env_measure(char *const *envp, const char *asan, struct ov_env *env)
{
	env->vars = (char **)(uintptr_t)envp;
	env->size = 0;
	if (!ov_config.active || (envp && !readable(envp)) || of_another_run(envp))
		return;
	if (!lacks_any(envp) && preload_right(preload_of(envp), asan))
		return;
	env->size = (count_vars(envp) + VARIABLES_MAX) * sizeof(char *) + preload_room(envp, asan);
}

void ov_env_build(char *const *envp, const char *asan, struct ov_env *env, char *room)
{
	size_t n = count_vars(envp), at = 0;
	char *text = room + (n + VARIABLES_MAX) * sizeof(char *);
	size_t prefix = rt_format(text, sizeof("LD_PRELOAD="), "LD_PRELOAD=");

	env->vars = (char **)(void *)room;
	for (size_t i = 0; i < n; i++) {
		if (!rt_after_prefix(envp[i], "LD_PRELOAD="))
			env->vars[at++] = envp[i];
	}
	FOR_EACH_KEPT (var) {
		if (!value_of(envp, var))
			env->vars[at++] = (char *)(uintptr_t)var;
	}
	write_preload(text + prefix, preload_of(envp), asan);
	env->vars[at++] = text;
	env->vars[at] = NULL;
}

typedef int setenv_function(const char *name, const char *value, int overwrite);

/* setenv(3) copies; name is "NAME=...". */
static void set_variable(setenv_function *set, const char *var, const char *value)
{
	char name[64];
	size_t n = name_len(var) - 1;

	if (n >= sizeof(name))
		return;
	memcpy(name, var, n);
	name[n] = '\0';
	set(name, value, 1);
}

void ov_env_restore(void)
{
	setenv_function *set = (setenv_function *)ov_next_lookup(OV_NEXT_setenv);
	char *const *envp = ov_environ();

	if (!ov_config.active || !set || of_another_run(envp))
		return;
	FOR_EACH_KEPT (var) {
		if (!value_of(ov_environ(), var))
			set_variable(set, var, var + name_len(var));
	}
	envp = ov_environ();
	if (!preload_right(preload_of(envp), "")) {
		char *list = __builtin_alloca(preload_room(envp, ""));

		write_preload(list, preload_of(envp), "");
		set_variable(set, "LD_PRELOAD=", list);
	}
}
