// SPDX-License-Identifier: MIT
/*
 * diff/model_touch.c - bytes of the naive model: loads, stores and signals, copies of the kernel
 */
#include "diff/model.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

unsigned char *model_byte(u64 w, u64 at, bool write, int *sig, int *code)
{
	const struct mapped_page *m = &model.mapped[w][at / PAGE];
	struct file_page *page;

	*sig = SIGSEGV;
	*code = SEGV_MAPERR;
	if (m->inode < 0 || (model.in_child && m->stays))
		return NULL;
	*code = SEGV_ACCERR;
	if (!m->prot || (write && !(m->prot & PROT_WRITE)))
		return NULL;
	*code = SEGV_MAPERR;
	if (m->guard)
		return NULL;
	*sig = SIGBUS;
	*code = BUS_ADRERR;
	page = model_usable(m);
	return page ? page->bytes + at % PAGE : NULL;
}

static result touch(u64 w, u64 at, int value)
{
	result ret = answer(0);
	unsigned char *byte = model_byte(w, at, value >= 0, &ret.sig, &ret.code);

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
result model_kernel_store(u64 w, u64 at, u64 size)
{
	int sig, code;
	u64 done = 0;

	for (; done < size; done++) {
		unsigned char *byte = model_byte(w, at + done, true, &sig, &code);

		if (!byte)
			break;
		*byte = model.source[done];
	}
	return answer(size && !done ? -EFAULT : (s64)done);
}

result model_kernel_load(u64 w, u64 at, u64 size)
{
	unsigned char bytes[2 * PAGE];
	result ret;
	int sig, code;
	u64 done = 0;

	for (; done < size; done++) {
		const unsigned char *byte = model_byte(w, at + done, false, &sig, &code);

		if (!byte)
			break;
		bytes[done] = *byte;
	}
	ret = answer(size && !done ? -EFAULT : (s64)done);
	if (done)
		ret.aux = model_hash(1, bytes, done);
	return ret;
}
