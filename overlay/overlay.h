/* SPDX-License-Identifier: MIT */
/*
 * overlay/overlay.h - how a program's calls reach the emulated device
 *
 * Theory of operation.  The object is preloaded; each name of overlay/symbol.def is
 * exported by overlay/exports.S as a jump to its wrapper ov_*().  A wrapper
 * decides in a few instructions whether the call concerns gmem.  If not, it is
 * made on the program's behalf: cancellation points through the next object
 * (ov_next), everything else by an inline `syscall`, never by rt_syscall(),
 * whose instruction a seccomp filter of the program lets pass.
 *
 *  1. No libc, no TLS, no malloc; errno is touched only when a call fails.
 *  2. Locks are only held between ov_enter() and ov_leave(), which block all
 *     signals but SIGSEGV and SIGBUS: no handler of the program runs on top of one.
 *  3. A descriptor's object is a cache; the inode decides (overlay/fdtab.c).
 *  4. The program's memory is read and written by rt_copy_in/out only.
 *  5. A process that forked without our seeing it is noticed at the next
 *     ov_enter() or fault, and set up then.
 */
#ifndef GMEM_OVERLAY_OVERLAY_H
#define GMEM_OVERLAY_OVERLAY_H

#include "device/device.h"
#include "overlay/wire.h"
#include "rt/syscall.h"

/* What `gmem run` asked for, from the environment. */
struct ov_config {
	bool active;	     /* an emulated profile was chosen */
	bool explain;	     /* send refusals and touches */
	bool allow_unserved; /* start programs that cannot be served */
	char broker[64];     /* abstract socket name without the leading NUL */
	char object[512];    /* our entry of LD_PRELOAD, to be kept across exec */
	char env[1024];	     /* the GMEM_* strings, each with its NUL, for exec'ed programs */
	size_t env_len;
};
extern struct ov_config ov_config;

/* A system call for the program: what its seccomp filter says holds. */
static inline __attribute__((always_inline)) long ov_raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define ov_raw(...) OV_RAW_PAD_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define OV_RAW_PAD_(nr, a, b, c, d, e, f, ...) ov_raw6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

extern int *__errno_location(void) __attribute__((weak));

/* Turn -errno into what a libc function returns. */
static inline long ov_ret(long ret)
{
	if (!rt_is_err(ret))
		return ret;
	if (__errno_location)
		*__errno_location() = (int)-ret;
	return -1;
}

/* The errno that a libc call just set, negative. */
static inline long ov_last_errno(void)
{
	return __errno_location ? -(long)*__errno_location() : -(long)EIO;
}

/* Blocked inside a guard: all but SIGBUS (7) and SIGSEGV (11), since faults of our own copies must reach the handler. */
#define OV_GUARD_MASK (~(1ULL << 6 | 1ULL << 10))
struct ov_guard {
	u64 mask; /* the program's signal mask, where it had to be changed */
	int slot; /* of overlay/critical.c, or OV_CRITICAL_* */
};
/* Block signals and make sure that this process is set up. */
void ov_enter(struct ov_guard *guard);
/* The same for hot paths: signals are put off rather than blocked. */
void ov_enter_hot(struct ov_guard *guard);
void ov_leave(const struct ov_guard *guard);

/* overlay/critical.c */
enum { OV_CRITICAL_NO = -1, OV_CRITICAL_NESTED = -2 };
void ov_critical_init(void);
int ov_critical_enter(void); /* a slot, or OV_CRITICAL_NO: block signals, or OV_CRITICAL_NESTED: nothing to do */
void ov_critical_leave(int slot);
bool ov_critical_usable(void); /* no signal of a fault was ever blocked */
bool ov_critical_here(void); /* whether the calling thread is in */
void ov_critical_forked(void);
void ov_critical_mask(u64 blocked); /* the program blocks these signals somewhere */

/* overlay/file.c */
/* True when fd is an object of ours, or hidden (EBADF); *ret is the answer to op. */
bool ov_answered(int fd, enum core_fileop op, long *ret);

/* overlay/userfault.c */
bool ov_is_userfault(u32 cmd);
/* True when a userfaultfd's request is about a view; *ret is the answer. */
bool ov_userfault_ioctl(int fd, u32 cmd, u64 arg, long *ret);

/* overlay/fdtab.c */
/* The cached object of a descriptor, unverified; NULL costs one load. */
struct dev_object *ov_fd_peek(int fd);
/* Verified by inode, with a reference (dev_put); inside a guard. */
struct dev_object *ov_fd_get(int fd);
/* The same for descriptors that the cache does not know: adopts files of other processes. */
struct dev_object *ov_fd_find(int fd);
void ov_fd_set(int fd, struct dev_object *obj);
void ov_fd_forget(int fd);
void ov_fd_copy(int from, int to);
/* Forget a range; costs what is known, not what is asked for. */
void ov_fd_forget_span(unsigned first, unsigned last);
/*
 * For a descriptor that the cache does not know, before something is done that cannot be undone: 1 when it
 * is an object's all the same (then it is learnt), -EBADF when it is closed or gmem's own, just being made, -ENODEV
 * for a file that nobody knows any more, -ENOMEM when that cannot be told; else 0.
 */
int ov_fd_unknown(int fd);
/* Learn whose descriptors this process has: at the start and in a forked child. */
void ov_fd_init(void);
void ov_fd_forked(void);
/* Look at all descriptors that this process image inherited. */
void ov_fd_scan(void);

/* What kind of object a name leads to, as those in /proc do; DEV_NONE when to none. */
enum dev_kind ov_kind_at(int dir, const char *path);

/* overlay/report.c: what the broker is told; all without waiting. */
void ov_report_init(void);
void ov_report_refusal(const char *call, const struct core_err *err);
void ov_report_touch(const struct host_fault *fault, const void *addr, u64 pc, bool write);
bool ov_report_notice(const char *text); /* whether it could be sent */
void ov_report_unserved(const char *path, const char *why, int error);
bool ov_report_file(struct dev_gmem *g); /* false: nobody could adopt it */
void ov_report_file_gone(struct dev_gmem *g);
struct dev_gmem *ov_adopt(struct host_ident id);
void ov_report_forked(void);
void ov_report_flush(void);

/* overlay/signal.c */
void ov_signal_init(void);
/* exec keeps ignored signals ignored: hand the virtual SIG_IGN to the kernel. */
void ov_signal_before_exec(void);
void ov_signal_restore(void); /* exec failed */
void ov_signal_forked(void);
void ov_signal_take(u64 mask);
void ov_signal_memory_error(u64 hva);
/* A guard has ended, the program's mask holds again: send what arrived meanwhile. */
void ov_signal_guard_left(void);

/* overlay/process.c */
void ov_process_init(void);
void ov_forked(void);

/* overlay/next.c: the next object's function of that name, or NULL when there is no dlsym. */
enum ov_next_id {
#define NEXT(name) OV_NEXT_##name,
#include "overlay/next.def"
#undef NEXT
	OV_NEXT_COUNT
};
void *ov_next_lookup(enum ov_next_id id);
char **ov_environ(void);
/* A libc call for the program through the next object, else the raw system call: returns -errno. */
long ov_next_call(enum ov_next_id id, long nr, long a, long b, long c, long d, long e, long f);

/* overlay/path.c: files that gmem serves by name. */
enum ov_path { OV_PATH_OTHER, OV_PATH_KVM, OV_PATH_PARAM };
enum ov_path ov_path_classify(u64 path, char *param, size_t size);
int ov_param_open(const char *param, int flags);

/* overlay/seccomp.c: whether the program has installed a filter. */
extern _Atomic bool ov_filtered;
/* The image before this one installed filters: to be called before anything else that enters the kernel. */
int ov_seccomp_inherited(void);
/*
 * What is done without the kernel, or by gmem's own calls, is put to the program's filter first:
 * ov_filter_says(harmless, nr, up to six arguments) makes a call of that number
 * which changes nothing and is known to return harmless.  Anything else is the filter's
 * answer to the program; 0 for none.
 */
#define ov_filter_says(harmless, ...) (ov_filtered ? ov_filter_ask((harmless), ov_raw(__VA_ARGS__)) : 0)
static inline long ov_filter_ask(long harmless, long answer)
{
	return answer == harmless ? 0 : answer;
}

#endif
