// SPDX-License-Identifier: MIT
/*
 * diff/model_touch.c - bytes of the naive model: loads, stores and signals, copies of the kernel
 */
#include "diff/model.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

unsigned char *model_byte(u64 w, u64 at, enum access how, int *sig, int *code)
{
	const struct mapped_page *m = &model.mapped[w][at / PAGE];
	struct file_page *page;

	*sig = SIGSEGV;
	*code = SEGV_MAPERR;
	if (m->inode < 0 || (model.in_child && m->stays))
		return NULL;
	*code = SEGV_ACCERR;
	if (how != FORCE && (!m->prot || (how == PEEK && !(m->prot & PROT_READ)) || (how == WRITE && !(m->prot & PROT_WRITE))))
		return NULL;
	*code = SEGV_MAPERR;
	if (m->guard)
		return NULL;
	*sig = SIGBUS;
	*code = BUS_ADRERR;
	if (m->index < model.inodes[m->inode].size / PAGE && m->index < FILE_PAGES) {
		page = &model.inodes[m->inode].page[m->index];
		if (page->struck && !page->private)
			*code = BUS_MCEERR_AR;
	}
	page = model_usable(m);
	return page ? page->bytes + at % PAGE : NULL;
}

static result touch(u64 w, u64 at, int value)
{
	result ret = answer(0);
	unsigned char *byte = model_byte(w, at, value >= 0 ? WRITE : READ, &ret.sig, &ret.code);

	if (!byte) {
		ret.aux = at;
		return ret;
	}
	ret.sig = ret.code = 0;
	if (value >= 0)
		*byte = (unsigned char)value;
	else
		ret.aux = *byte;
	return ret;
}

result model_load(u64 w, u64 at)
{
	return touch(w, at, -1);
}

result model_store(u64 w, u64 at, u64 value)
{
	return touch(w, at, (int)(value & 0xff));
}

/* A copy ends at the first byte that cannot be touched; it fails if that is the very first. */
static s64 copied(u64 done, u64 size, u64 how)
{
	return size && !done ? how == 3 ? -EIO : -EFAULT : (s64)done;
}

result model_kernel_store(u64 w, u64 at, u64 size, u64 how)
{
	int sig, code;
	u64 done = 0;

	for (; done < size; done++) {
		unsigned char *byte = model_byte(w, at + done, WRITE, &sig, &code);

		if (!byte)
			break;
		*byte = model.source[done];
	}
	return answer(copied(done, size, how));
}

result model_kernel_load(u64 w, u64 at, u64 size, u64 how)
{
	const enum access access = how == 2 ? PEEK : how == 3 ? FORCE : READ;
	unsigned char bytes[2 * PAGE];
	result ret;
	int sig, code;
	u64 done = 0;

	for (; done < size; done++) {
		const unsigned char *byte = model_byte(w, at + done, access, &sig, &code);

		if (!byte)
			break;
		bytes[done] = *byte;
	}
	ret = answer(copied(done, size, how));
	if (done)
		ret.aux = model_hash(1, bytes, done);
	return ret;
}
