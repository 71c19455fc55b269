/* SPDX-License-Identifier: MIT */
/*
 * check/check.h - the conformance suite: cases, observations, and what a target is
 *
 * A case makes calls and compares each answer with what every known generation
 * would give: SEE(answer, wanted, label) evaluates `wanted` once for each of them, as `k`.
 * Expectations are literals chosen by named traits (check/traits.h) and by the
 * target's configuration, never taken from core/.  So one run tells
 * whether a target is what it claims, and which generation an unknown one resembles.
 */
#ifndef GMEM_CHECK_CHECK_H
#define GMEM_CHECK_CHECK_H

#include "check/trace.h"

#include "check/calls.h"
#include "check/traits.h"

/* What a case needs of the target to make any sense. */
enum check_need {
	NEED_NOTHING = 0,
	NEED_GMEM = 1 << 0,	  /* guest_memfd files */
	NEED_SLOTS = 1 << 1,	  /* ... that can be bound on some VM type */
	NEED_MAP = 1 << 2,	  /* ... that can be mapped */
	NEED_ATTRIBUTES = 1 << 3, /* KVM_SET_MEMORY_ATTRIBUTES */
	NEED_CONVERSION = 1 << 4, /* KVM_SET_MEMORY_ATTRIBUTES2 */
	NEED_CPU = 1 << 5,	  /* a vCPU that runs 64-bit code */
	NEED_POISON = 1 << 7,	  /* memory errors can be made, and the user wants it */
	NEED_PRIVATE = 1 << 6, /* a VM type with private memory that needs no firmware, and either way of conversion */
};
/* The same in words. */
extern const struct check_need_words {
	unsigned need;
	const char *words;
} check_needs[];
extern const unsigned check_need_count;

struct check_case {
	const char *id;	   /* "bind.order" */
	const char *title; /* what it shows */
	const char *rules; /* of core/rule.def, separated by blanks */
	unsigned needs;
	void (*run)(void);
};
#define CASE(section, name, needs, title, rules) void case_##section##_##name(void);
#include "check/case.def"
#undef CASE
extern const struct check_case check_cases[];
extern const unsigned check_case_count;

/* Configuration and hardware, which follow from no version. */
struct check_target {
	uint32_t types;	  /* VM types that can be made, a mask */
	uint32_t plain;	  /* those of them that need no firmware */
	unsigned spaces;  /* address spaces of a VM without private memory */
	bool private_mem; /* private memory is compiled in */
	bool pre_fault;	  /* two-dimensional paging */
	unsigned bindable; /* the lowest VM type that takes guest_memfd slots */
	unsigned has;	  /* enum check_need */
};
extern struct check_target target;

/* Whether a generation, configured like the target, has what a case needs. */
bool check_holds(const struct traits *k, unsigned needs);

#define SEE(answer, wanted, ...)                                                                                       \
	do {                                                                                                           \
		long long see_got_ = (long long)(answer), see_want_[TRAITS_COUNT];                                     \
		for (unsigned see_i_ = 0; see_i_ < TRAITS_COUNT; see_i_++) {                                           \
			const struct traits *k = &traits[see_i_];                                                      \
			(void)k;                                                                                       \
			see_want_[see_i_] = (long long)(wanted);                                                       \
		}                                                                                                      \
		check_observe(__FILE__, __LINE__, see_got_, see_want_, __VA_ARGS__);                                   \
	} while (0)
void check_observe(const char *file, int line, long long got, const long long *wanted, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The result of a call, or -errno. */
#define RET(call)                                                                                                      \
	({                                                                                                             \
		errno = 0;                                                                                             \
		long ret_ = (long)(call);                                                                              \
		ret_ == -1 ? (long)-errno : ret_;                                                                      \
	})
/* The same of what returns a descriptor, which is closed again, or an address: 0 for success. */
#define MADE(call)                                                                                                     \
	({                                                                                                             \
		int made_ = (int)RET(call);                                                                            \
		if (made_ >= 0)                                                                                        \
			close(made_);                                                                                  \
		made_ < 0 ? made_ : 0;                                                                                 \
	})

/* A touch as one number: the byte read, or the signal; at another address it is WRONG. */
#define BUS(code)     (-2000 - (code))
#define SEGV(code)    (-3000 - (code))
#define WRONG_ADDRESS (-4000)
/* What a guest's access ends with where it is no error: an exit of this reason. */
#define EXIT(reason)  (-10000 - (long)(reason))
#define REFUSED	      BUS(2) /* BUS_ADRERR */
#define NO_MAPPING    SEGV(1)
#define NO_ACCESS     SEGV(2)
#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, Linux 6.13; on mappings of files 6.15 */
#define GUARD_REMOVE  103
/* Whether this kernel has guard pages in mappings of files: a matter of memory management, not of KVM. */
bool check_guards(void);
/* Whether a vCPU runs; leaves descriptors behind, for a child. */
bool check_vcpu(void);
/* mincore(2): a bit for each page that was used, or -errno. */
long check_residence(char *at, size_t pages);
struct touch check_touch(char *at, int store);
/* A signal may have come, or still be: touches are prepared for theirs again. */
void check_expect_signals(void);
long check_load(const char *at);
/* Whether it could be read: less than a page. */
bool check_copy(void *to, const void *from, size_t len);
long check_store(char *at, int value);

/* Files exist for every VM, or, before they could be mapped, for the sake of private memory. */
static inline bool k_files(const struct traits *k)
{
	return k->gmem && (k->gmem_for_all || target.private_mem);
}

/* What a generation says of a VM type, configured like the target. */
static inline bool k_slots(const struct traits *k, unsigned type)
{
	return k_files(k) && (k->gmem_for_all || type_is_private(type));
}

static inline bool k_converts(const struct traits *k)
{
	return k->in_place && target.private_mem;
}

static inline bool k_has_attributes(const struct traits *k)
{
	return k->vm_attributes && target.private_mem;
}

static inline uint64_t k_flags(const struct traits *k, unsigned type)
{
	if (!k->mappable)
		return 0;
	return type_is_private(type) && !k_converts(k) ? GUEST_MEMFD_FLAG_MMAP : SHAREABLE;
}

/* VM types of the target that need no firmware: with a profile, all. */
#define EACH_TYPE(t) for (unsigned t = 0; t < 6; t++) if (target.plain >> t & 1)

struct check_request {
	char *const *ids; /* all cases if there is none */
	unsigned count;
	const char *literal; /* the profile that the target is */
	uint32_t more;	     /* VM types that it has besides its own */
	bool poison;	     /* memory errors are wanted of a real kernel */
};
/* A worker: runs the cases and writes observations to fd. */
int check_worker(const struct check_request *request, int fd);

#endif
