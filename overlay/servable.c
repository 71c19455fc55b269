// SPDX-License-Identifier: MIT
/*
 * overlay/servable.c - whether preload can serve a program
 *
 * Theory of operation: LD_PRELOAD is honoured by the dynamic loader that
 * PT_INTERP names, and ignored when the kernel sets AT_SECURE.  So a program is
 * served when
 *  1. it is an ELF image of our class and machine that has PT_INTERP, and is no Go program: with
 *     cgo these have a loader, but the calls of Go itself go past every library;
 *  2. exec leaves real and effective ids equal: no set-id bit that changes
 *     one (a bit counts for nothing on a nosuid mount or under no_new_privs);
 *  3. it carries no file capabilities, or they are given to root, who has them.
 * Of a script the program is its interpreter, and only the interpreter's
 * set-id bits count, as in the kernel.  In doubt (an image that cannot be
 * read) the answer is no.
 */
#include "overlay/servable.h"

#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>

#include "host/fd.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define AT_FLAGS_EXEC (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)
#define PHDR_MAX      (65536 / sizeof(Elf64_Phdr)) /* the kernel takes no more */
#define DYN_MAX	      4096
#define NOTES_MAX     65536
#define NT_GO_BUILD_ID 4
#define X_OK	      1
#define STATFS_NOSUID 2 /* ST_NOSUID */

/* <linux/stat.h> has these only where there is no glibc, and we compile both ways. */
#define MODE_FORMAT  0170000
#define MODE_REGULAR 0100000
#define MODE_LINK    0120000
#define MODE_SETUID  04000
#define MODE_SETGID  02010 /* without execute for the group it means something else */
#define MODE_EXECUTE 0111

struct image {
	servable_read *read;
	void *ctx;
	Elf64_Ehdr head;
};

static int refuse(struct servable *ret, int error, const char *reason)
{
	ret->reason = reason;
	return -error;
}

static bool read_whole(const struct image *image, void *buf, size_t len, u64 off)
{
	return image->read(image->ctx, buf, len, off) == (long)len;
}

static bool read_phdr(const struct image *image, unsigned i, Elf64_Phdr *ret)
{
	return read_whole(image, ret, sizeof(*ret), image->head.e_phoff + i * sizeof(*ret));
}

/* File offset of a virtual address, by the segments. */
static bool file_offset(const struct image *image, u64 address, u64 *ret)
{
	Elf64_Phdr phdr;

	for (unsigned i = 0; i < image->head.e_phnum; i++) {
		if (!read_phdr(image, i, &phdr))
			return false;
		if (phdr.p_type == PT_LOAD && address >= phdr.p_vaddr && address - phdr.p_vaddr < phdr.p_filesz) {
			*ret = address - phdr.p_vaddr + phdr.p_offset;
			return true;
		}
	}
	return false;
}

bool servable_is_asan(const char *name)
{
	const char *base = name;

	for (; *name; name++) {
		if (*name == '/')
			base = name + 1;
	}
	return rt_after_prefix(base, "libasan.so") || rt_after_prefix(base, "libclang_rt.asan");
}

/* The ASan runtime must come before any other preloaded object: note its name if it is needed. */
static void find_asan(const struct image *image, const Elf64_Phdr *dynamic, struct servable *ret)
{
	char name[sizeof(ret->asan)];
	u64 strings = 0;
	Elf64_Dyn dyn;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < DYN_MAX && (i + 1) * sizeof(dyn) <= dynamic->p_filesz; i++) {
			long n;

			if (!read_whole(image, &dyn, sizeof(dyn), dynamic->p_offset + i * sizeof(dyn)))
				return;
			if (dyn.d_tag == DT_NULL)
				break;
			if (pass == 0 && dyn.d_tag == DT_STRTAB && !file_offset(image, dyn.d_un.d_ptr, &strings))
				return;
			if (pass == 0 || dyn.d_tag != DT_NEEDED || !strings)
				continue;
			n = image->read(image->ctx, name, sizeof(name) - 1, strings + dyn.d_un.d_val);
			if (n <= 0)
				return;
			name[n] = '\0';
			if (servable_is_asan(name)) {
				rt_format(ret->asan, sizeof(ret->asan), "%s", name);
				return;
			}
		}
	}
}

/* A note of four bytes' alignment by that owner and type? */
static bool has_note(const struct image *image, const Elf64_Phdr *notes, const char owner[4], u32 type)
{
	Elf64_Nhdr note;
	char name[4];

	for (u64 at = 0; at < NOTES_MAX && at + sizeof(note) + sizeof(name) <= notes->p_filesz;
	     at += sizeof(note) + rt_align_up(note.n_namesz, 4) + rt_align_up(note.n_descsz, 4)) {
		if (!read_whole(image, &note, sizeof(note), notes->p_offset + at) ||
		    !read_whole(image, name, sizeof(name), notes->p_offset + at + sizeof(note)))
			return false;
		if (note.n_type == type && note.n_namesz == sizeof(name) && !memcmp(name, owner, sizeof(name)))
			return true;
	}
	return false;
}

static int judge_elf(struct image *image, struct servable *ret)
{
	const Elf64_Ehdr *head = &image->head;
	Elf64_Phdr phdr, dynamic;
	bool has_interp = false, has_dynamic = false, is_go = false;

	if (head->e_ident[EI_CLASS] == ELFCLASS32)
		return refuse(ret, EACCES, "it is a 32-bit program");
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB ||
	    head->e_machine != EM_X86_64)
		return refuse(ret, EACCES, "it is a program for another machine");
	if (head->e_type != ET_EXEC && head->e_type != ET_DYN)
		return -ENOEXEC;
	if (head->e_phentsize != sizeof(phdr) || !head->e_phnum || head->e_phnum > PHDR_MAX)
		return -ENOEXEC;

	for (unsigned i = 0; i < head->e_phnum; i++) {
		if (!read_phdr(image, i, &phdr))
			return -ENOEXEC;
		if (phdr.p_type == PT_INTERP)
			has_interp = true;
		if (phdr.p_type == PT_NOTE)
			is_go |= has_note(image, &phdr, "Go\0", NT_GO_BUILD_ID);
		if (phdr.p_type == PT_DYNAMIC) {
			dynamic = phdr;
			has_dynamic = true;
		}
	}
	if (!has_interp)
		return refuse(ret, EACCES, "it is statically linked (no PT_INTERP), and preload needs a dynamic loader");
	if (is_go)
		return refuse(ret, EACCES, "it is written in Go, which makes system calls by itself, past the C library");
	if (has_dynamic)
		find_asan(image, &dynamic, ret);
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first line of a script, as the kernel's load_script() reads it; buf is padded with NULs. */
static int judge_script(const char buf[SERVABLE_BUF], struct servable *ret)
{
	size_t end = 2, start = 2, stop;

	while (end < SERVABLE_BUF && buf[end] != '\n')
		end++;
	while (start < end && blank(buf[start]))
		start++;
	stop = start;
	while (stop < end && !blank(buf[stop]) && buf[stop])
		stop++;
	/* Nothing there, or a name that goes on beyond what the kernel reads. */
	if (stop == start || stop == SERVABLE_BUF)
		return -ENOEXEC;
	memcpy(ret->interp, buf + start, stop - start);
	ret->interp[stop - start] = '\0';
	return 1;
}

int servable_image(servable_read *read, void *ctx, struct servable *ret)
{
	struct image image = { .read = read, .ctx = ctx };
	char buf[SERVABLE_BUF] = { 0 };
	long n = read(ctx, buf, sizeof(buf), 0);

	ret->reason = NULL;
	ret->interp[0] = '\0';
	ret->asan[0] = '\0';
	if (n < 0)
		return (int)n;
	if (n >= 2 && buf[0] == '#' && buf[1] == '!')
		return judge_script(buf, ret);
	if (n < (long)sizeof(image.head) || memcmp(buf, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	memcpy(&image.head, buf, sizeof(image.head));
	return judge_elf(&image, ret);
}

static long read_fd(void *ctx, void *buf, size_t len, u64 off)
{
	size_t done = 0;

	while (done < len) {
		long n = rt_syscall(__NR_pread64, *(int *)ctx, (char *)buf + done, len - done, off + done);

		if (n == -EINTR)
			continue;
		if (rt_is_err(n))
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (long)done;
}

/* Whether exec of this file sets AT_SECURE: rules 2 and 3. */
static int judge_privileges(int fd, const struct stat *st, struct servable *ret)
{
	/* These cannot fail. */
	long uid = rt_syscall_raw(__NR_getuid, 0, 0, 0, 0, 0, 0), gid = rt_syscall_raw(__NR_getgid, 0, 0, 0, 0, 0, 0);
	long euid = rt_syscall_raw(__NR_geteuid, 0, 0, 0, 0, 0, 0), egid = rt_syscall_raw(__NR_getegid, 0, 0, 0, 0, 0, 0);
	bool no_new_privs = rt_syscall_raw(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0) == 1;
	bool setuid = st->st_mode & MODE_SETUID, setgid = (st->st_mode & MODE_SETGID) == MODE_SETGID, nosuid;
	struct statfs fs;
	long capabilities;

	nosuid = !rt_is_err(rt_syscall(__NR_fstatfs, fd, &fs)) && (fs.f_flags & STATFS_NOSUID);
	if (!nosuid && !no_new_privs) {
		if (setuid && (long)st->st_uid != uid)
			return refuse(ret, EACCES, "it is set-user-id, and the loader ignores LD_PRELOAD then");
		if (setgid && (long)st->st_gid != gid)
			return refuse(ret, EACCES, "it is set-group-id, and the loader ignores LD_PRELOAD then");
		if (setuid)
			euid = uid;
		if (setgid)
			egid = gid;
	}
	if (euid != uid || egid != gid)
		return refuse(ret, EACCES,
			      "its real and effective ids differ, and the loader ignores LD_PRELOAD then");
	capabilities = nosuid || uid == 0 ? 0 : rt_syscall(__NR_fgetxattr, fd, "security.capability", NULL, 0);
	if (capabilities == -ENOMEM)
		return -ENOMEM;
	if (capabilities > 0)
		return refuse(ret, EACCES, "it has file capabilities, and the loader ignores LD_PRELOAD then");
	return 0;
}

/* A descriptor of one's own on the file, or -errno. */
static int open_image(int dirfd, const char *path)
{
	char link[32];
	long fd;

	if (!path[0]) {
		rt_format(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		path = link;
		dirfd = AT_FDCWD;
	}
	do {
		fd = host_fd_own(__NR_openat, dirfd, (long)path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	} while (fd == -EINTR);
	return (int)fd;
}

/* One file: as servable_image(), permissions and privileges included. */
static int judge_file(int dirfd, const char *path, int flags, struct servable *ret)
{
	struct stat st;
	long error;
	int fd, kind;

	ret->reason = NULL;
	error = rt_syscall(__NR_newfstatat, dirfd, path, &st, flags);
	if (rt_is_err(error))
		return (int)error;
	/* No open of what is no file: that could wait, or have effects. */
	if ((st.st_mode & MODE_FORMAT) != MODE_REGULAR)
		return (st.st_mode & MODE_FORMAT) == MODE_LINK ? -ELOOP : -EACCES;
	error = rt_syscall(__NR_faccessat2, dirfd, path, X_OK, AT_EACCESS | flags);
	if (rt_is_err(error) && error != -ENOSYS)
		return (int)error;
	if (!(st.st_mode & MODE_EXECUTE))
		return -EACCES;

	fd = open_image(dirfd, path);
	if (fd == -EACCES || fd == -EPERM)
		return refuse(ret, EACCES, "it cannot be read, so that gmem cannot tell whether it is dynamic");
	if (fd < 0)
		return fd;
	kind = servable_image(read_fd, &fd, ret);
	if (kind == 0)
		kind = judge_privileges(fd, &st, ret);
	rt_close(fd);
	return kind;
}

int servable_path(int dirfd, const char *path, int flags, struct servable *ret)
{
	char interp[SERVABLE_BUF];
	int kind;

	ret->reason = NULL;
	ret->interp[0] = '\0';
	ret->asan[0] = '\0';
	if (flags & ~AT_FLAGS_EXEC)
		return -EINVAL;
	kind = judge_file(dirfd, path, flags, ret);
	for (unsigned level = 0; kind == 1; level++) {
		if (level == SERVABLE_LEVELS)
			return -ELOOP;
		memcpy(interp, ret->interp, sizeof(interp));
		kind = judge_file(AT_FDCWD, interp, 0, ret);
		/* What the caller wants to hear of is the interpreter that was judged. */
		if (kind != 1)
			memcpy(ret->interp, interp, sizeof(interp));
	}
	return kind;
}
