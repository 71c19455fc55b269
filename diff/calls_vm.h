/* SPDX-License-Identifier: MIT */
/*
 * diff/calls_vm.h - steps on VMs: copies of descriptors, the dirty log, arguments that cannot be read
 *
 * Goes behind diff/calls.h, here and in a reproducer.
 */
static struct result dup_vm(u64 v, u64 u)
{
	if (vm[v] < 0 || vm[u] >= 0)
		return skipped();
	vm[u] = fcntl(vm[v], F_DUPFD_CLOEXEC, 0);
	return result_of(vm[u] < 0 ? -1 : 0);
}

static struct result dirty_log(u64 v, u64 id)
{
	u64 bitmap[16] = { 0 };
	struct {
		u32 slot, padding;
		void *bitmap;
	} log = { (u32)id, 0, bitmap };
	struct result ret;

	if (vm[v] < 0)
		return skipped();
	ret = result_of(ioctl(vm[v], 0x4010ae42, &log));
	ret.aux = hash_of(0, bitmap, sizeof(bitmap));
	return ret;
}

/* mask: what is cleared of the first pages; an odd first page is refused before the mask is read. */
static struct result clear_log(u64 v, u64 id, u64 first, u64 pages, u64 mask)
{
	u64 bitmap[16] = { mask, mask };
	struct {
		u32 slot, pages;
		u64 first;
		void *bitmap;
	} log = { (u32)id, (u32)pages, first, bitmap };

	if (vm[v] < 0)
		return skipped();
	return result_of(ioctl(vm[v], 0xc018aec0, &log));
}

/* Commands that take a structure; the objects: a VM, a file, the device. */
static const struct {
	u32 command, size, object;
} structures[] = {
	{ 0x40a0ae49, 160, 0 }, /* KVM_SET_USER_MEMORY_REGION2 */
	{ 0x4020ae46, 32, 0 },	/* KVM_SET_USER_MEMORY_REGION */
	{ 0xc040aed4, 64, 0 },	/* KVM_CREATE_GUEST_MEMFD */
	{ 0x4020aed2, 32, 0 },	/* KVM_SET_MEMORY_ATTRIBUTES */
	{ 0x4068aea3, 104, 0 }, /* KVM_ENABLE_CAP */
	{ 0x4010ae42, 16, 0 },	/* KVM_GET_DIRTY_LOG */
	{ 0xc018aec0, 24, 0 },	/* KVM_CLEAR_DIRTY_LOG */
	{ 0xc080aed2, 128, 1 }, /* KVM_SET_MEMORY_ATTRIBUTES2 */
	/* Nobody's: another size, direction or object. */
	{ 0x4040aed4, 64, 0 }, { 0xc008aed4, 8, 0 }, { 0xc080aed2, 128, 0 }, { 0x40a8ae49, 168, 0 }, { 0x4020aed3, 32, 0 },
	{ 0x4020aed2, 32, 1 }, { 0x40a0ae49, 160, 1 }, { 0xc040aed4, 64, 1 }, { 0x4020ae46, 32, 2 }, { 0xc040aed4, 64, 2 },
	{ 0xc080aed2, 128, 2 },
};

/* how: NULL; the second half is not mapped; the end is the mapping's, and all bits are set. */
static struct result argument(u64 object, u64 which, u64 how)
{
	const u32 size = structures[which].size;
	int fd = structures[which].object == 0 ? vm[object % VMS] : structures[which].object == 1 ? file[object % FILES] : kvm;
	char *page, *at = NULL;
	struct result ret;

	if (fd < 0)
		return skipped();
	page = (char *)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == (char *)MAP_FAILED)
		return result_of(-1);
	munmap(page + PAGE, PAGE);
	memset(page, 0xff, PAGE);
	if (how)
		at = page + PAGE - (how == 1 ? size / 2 : size);
	ret = result_of(ioctl(fd, structures[which].command, at));
	munmap(page, PAGE);
	return ret;
}

/* The VM's ioctls that take a number, and those of the device. */
static struct result number(u64 v, u64 which, u64 value)
{
	static const u32 commands[] = { 0xae00, 0xae04, 0xae03, 0xaed4, 0xae01 };
	int fd = v < VMS ? vm[v] : kvm;

	if (fd < 0 || (which == 4 && v >= VMS))
		return skipped();
	return result_of(ioctl(fd, commands[which], value));
}
