// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_fileops.c - calls that answer alike on every guest_memfd: written once more, by their answers
 *
 * core/fileop.def goes by call; here stand the calls that share an answer, with what they have in common: no
 * read and write, no position, no directory.  Each is in one group, and none is left out.
 */
#include <errno.h>

#include "core/fileop.h"
#include "core/profile.h"
#include "tests/tap.h"

#define ALL(...) (const enum core_fileop[]){ __VA_ARGS__, CORE_FILEOP_COUNT }
#define OP(id)	 CORE_FILEOP_##id

static const struct {
	const char *because;
	int now, until_6_12;
	const enum core_fileop *ops;
} groups[] = {
	{ "no read, no write, no splice", EINVAL, EINVAL,
	  ALL(OP(READ), OP(READV), OP(WRITE), OP(WRITEV), OP(SENDFILE_FROM), OP(SENDFILE_TO), OP(SPLICE), OP(TEE),
	      OP(COPY_RANGE_WITHIN)) },
	{ "no position", ESPIPE, ESPIPE,
	  ALL(OP(PREAD), OP(PREADV), OP(PREADV2), OP(PWRITE), OP(PWRITEV), OP(PWRITEV2), OP(LSEEK), OP(SENDFILE_FROM_AT)) },
	{ "no pipe", EBADF, EBADF, ALL(OP(VMSPLICE)) },
	{ "a file system of its own", EXDEV, EXDEV, ALL(OP(COPY_RANGE_OTHER), OP(FICLONE_OTHER), OP(LINKAT)) },
	{ "nothing that could be shared or said of it", EOPNOTSUPP, EOPNOTSUPP,
	  ALL(OP(FICLONE_WITHIN), OP(FIDEDUPERANGE), OP(FGETXATTR), OP(FSETXATTR), OP(FREMOVEXATTR)) },
	{ "no store behind it", EINVAL, EINVAL, ALL(OP(FSYNC), OP(FDATASYNC), OP(MSYNC_SYNC)) },
	{ "nothing to be done", 0, 0,
	  ALL(OP(SYNC_FILE_RANGE), OP(SYNCFS), OP(FADVISE), OP(FLISTXATTR), OP(FIGETBSZ), OP(MSYNC_ASYNC)) },
	{ "attributes that stay", EINVAL, EINVAL, ALL(OP(FTRUNCATE), OP(FCHMOD), OP(FCHOWN), OP(FUTIMENS)) },
	{ "no seals", EINVAL, EINVAL, ALL(OP(F_GET_SEALS), OP(F_ADD_SEALS)) },
	{ "no directory", ENOTDIR, ENOTDIR, ALL(OP(GETDENTS), OP(FCHDIR), OP(OPENAT)) },
	{ "no opening", ENXIO, ENXIO, ALL(OP(REOPEN)) },
	{ "no program", EACCES, EACCES, ALL(OP(EXECVEAT)) },
	{ "no waiting", EPERM, EPERM, ALL(OP(EPOLL_ADD)) },
	{ "no such request", ENOTTY, ENOTTY, ALL(OP(FIOASYNC), OP(FS_IOC_GETFLAGS), OP(FS_IOC_FSGETXATTR), OP(TCGETS)) },
	{ "requests of regular files, which it is no more", ENOTTY, 0, ALL(OP(FIONREAD), OP(FIOQSIZE)) },
	{ "the same, and no blocks", ENOTTY, EINVAL, ALL(OP(FIBMAP)) },
	{ "no reading ahead", EINVAL, 0, ALL(OP(READAHEAD)) },
};

int main(void)
{
	const struct core_profile *now = core_profile_find("linux-7.3"), *old = core_profile_find("linux-6.12");
	unsigned met[CORE_FILEOP_COUNT] = { 0 }, not_once = 0;

	for (unsigned g = 0; g < RT_ARRAY_SIZE(groups); g++) {
		for (const enum core_fileop *op = groups[g].ops; *op != CORE_FILEOP_COUNT; op++) {
			is(core_fileop_result(now, *op), -groups[g].now, "%s: %s", core_fileop_name(*op), groups[g].because);
			is(core_fileop_result(old, *op), -groups[g].until_6_12, "%s, under linux-6.12", core_fileop_name(*op));
			met[*op]++;
		}
	}
	for (unsigned op = 0; op < CORE_FILEOP_COUNT; op++)
		not_once += met[op] != 1;
	is(not_once, 0, "every call of the table is in one group");
	return done_testing();
}
