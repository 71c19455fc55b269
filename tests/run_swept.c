// SPDX-License-Identifier: MIT
/*
 * tests/run_swept.c - what runs while calls of gmem's fail: tests/run_sweep.c says which
 *
 *   run_swept SCENARIO [ARGUMENT]
 *
 * A program that takes no failure for granted.  A call may be refused once, with an errno that the kernel could give
 * and only after something was made to fail (TRY); then it is made again, with nothing failing any more, and has to succeed.  What
 * follows is as if nothing had happened: states, contents, what is refused.  The last line says what is left.
 *
 * Exit status: 0; 1 for a wrong answer; 7 when something was lost that only a report can explain.
 */
#include "tests/run_swept.h"

/* --- scenarios -------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void device(void)
{
	if (TRY(NEVER, ioctl(kvm, KVM_GET_API_VERSION, 0)) != 12)
		bad("KVM_GET_API_VERSION");
	if (!(TRY(NEVER, ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD))))
		bad("no guest_memfd");
	TRY(NEVER, close(dup(vm)));
}

static void convert(void)
{
	struct file *f = file_made(vm);
	char *second;

	fill(f, 0, PAGES, 10);
	converted(f, 1, 3, true);
	converted(f, 500, 30, true);
	check(f);
	converted(f, 512, 512, true);
	check(f);
	second = map_file(f->fd, 0);
	check_private(second + 600 * PG);
	converted(f, 600, 8, false);
	if (touch_shared(__LINE__, second + 601 * PG, -1).value != f->value[601])
		bad("the second view has something else");
	check(f);
	TRY(NO_MEMORY, fallocate(f->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 8 * PG));
	memset(f->value, 0, 8);
	check(f);
	TRY(NO_MEMORY, fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, 8 * PG));
	converted(f, 0, PAGES, false);
	check(f);
	TRY(NO_MEMORY, munmap(second, SIZE));
	file_closed(f);
}

static void views(void)
{
	struct file *f = file_made(vm);
	char *moved, *place = map_anon(SIZE);

	fill(f, 0, PAGES, 20);
	converted(f, 4, 2, true);
	TRY(NO_MEMORY, mprotect(f->map, 16 * PG, PROT_READ));
	if (touch(f->map, 1).sig != SIGSEGV)
		bad("a view is written to that may only be read");
	TRY(NO_MEMORY, mprotect(f->map, 16 * PG, PROT_READ | PROT_WRITE));
	check(f);
	TRY(NO_MEMORY, madvise(f->map, SIZE, MADV_DONTNEED));
	check(f);
	TRY(NO_MEMORY | BUSY, mlock(f->map + 8 * PG, 4 * PG));
	TRY(NO_MEMORY, munlock(f->map + 8 * PG, 4 * PG));
	moved = (char *)TRY(NO_MEMORY, mremap(f->map, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	if (moved != place)
		bad("mremap() to another place");
	f->map = moved;
	check(f);
	converted(f, 508, 8, true);
	check(f);
	TRY(NO_MEMORY, mmap(f->map, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f->fd, 0));
	check(f);
	TRY(NO_MEMORY, munmap(f->map + 2 * PG, 2 * PG));
	TRY(NO_MEMORY, mmap(f->map + 2 * PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f->fd, 2 * PG));
	check(f);
	file_closed(f);
}

static void slots(void)
{
	struct file *f = file_made(vm);
	char *plain = map_anon(64 * PG);
	uint64_t bitmap[4] = { 0 };
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	TRY(NO_MEMORY, set_region1(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GiB, 64 * PG, (uintptr_t)plain));
	TRY(NO_MEMORY, set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, 2 * GiB, 64 * PG, (uintptr_t)f->map, f->fd, 0));
	if (set_region2(vm, 3, KVM_MEM_GUEST_MEMFD, 4 * GiB, PG, 0, f->fd, 0) != -1 || (errno != EEXIST && errno != ENOMEM))
		bad("a second slot of the same pages");
	TRY(NO_MEMORY, ioctl(vm, KVM_GET_DIRTY_LOG, &log));
	TRY(NO_MEMORY, set_region1(vm, 1, 0, GiB, 64 * PG, (uintptr_t)plain));
	TRY(NO_MEMORY, set_region1(vm, 1, 0, 8 * GiB, 64 * PG, (uintptr_t)plain));
	converted(f, 0, 8, true);
	TRY(NO_MEMORY, set_region2(vm, 2, 0, 0, 0, 0, -1, 0));
	TRY(NO_MEMORY, set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, 3 * GiB, 64 * PG, (uintptr_t)f->map, f->fd, 0));
	check(f);
	TRY(NO_MEMORY, set_region1(vm, 1, 0, 0, 0, 0));
	TRY(NO_MEMORY, set_region2(vm, 2, 0, 0, 0, 0, -1, 0));
	munmap(plain, 64 * PG);
	file_closed(f);
}

struct guest {
	int vcpu;
	struct kvm_run *run;
	char *ram;
};

static struct kvm_segment flat(unsigned type, unsigned selector)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .s = 1, .db = 1, .g = 1 };
}

static struct guest guest_made(void)
{
	struct guest g = { .ram = map_anon(16 * PG) };
	struct kvm_sregs s;

	TRY(NO_MEMORY, set_region1(vm, 0, 0, 0, 16 * PG, (uintptr_t)g.ram));
	g.vcpu = (int)TRY(NO_MEMORY | NO_FDS, ioctl(vm, KVM_CREATE_VCPU, 0));
	g.run = (struct kvm_run *)TRY(NO_MEMORY, mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, g.vcpu, 0));
	TRY(NO_MEMORY, ioctl(g.vcpu, KVM_GET_SREGS, &s));
	s.cr0 |= 1;
	s.cs = flat(11, 8);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(3, 16);
	TRY(NO_MEMORY, ioctl(g.vcpu, KVM_SET_SREGS, &s));
	return g;
}

/* Code at 0x1000, from its beginning to its first exit. */
static void guest_run(struct guest *g, const void *code, size_t len, unsigned reason)
{
	struct kvm_regs r = { .rip = 0x1000, .rsp = 0x8000, .rflags = 2 };

	memcpy(g->ram + 0x1000, code, len);
	TRY(NO_MEMORY, ioctl(g->vcpu, KVM_SET_REGS, &r));
	TRY(NO_MEMORY | BUSY, ioctl(g->vcpu, KVM_RUN, 0));
	if (g->run->exit_reason != reason)
		bad("exit %u, not %u", g->run->exit_reason, reason);
}
#define RUN(g, reason, ...)                                                                                            \
	({                                                                                                             \
		static const unsigned char code_[] = { __VA_ARGS__ };                                                  \
		guest_run(g, code_, sizeof(code_), reason);                                                            \
	})

static void guest_closed(struct guest *g)
{
	TRY(NO_MEMORY, munmap(g->run, 3 * PG));
	TRY(NEVER, close(g->vcpu));
	TRY(NO_MEMORY, set_region1(vm, 0, 0, 0, 0, 0));
	munmap(g->ram, 16 * PG);
}

/* The file's pages are at 0x40000000. */
#define ADD_ONE 0x80, 0x05, 0x00, 0x00, 0x00, 0x40, 0x01 /* addb $1, 0x40000000 */
#define OUT	0xe6, 0x10				 /* out %al, $0x10 */
#define STORE	0xa2, 0x00, 0x00, 0x00, 0xc0		 /* mov %al, 0xc0000000 */

static void guest(void)
{
	int plain = vm, own = vm_made(KVM_X86_SW_PROTECTED_VM);
	struct file *f = file_made(own);
	struct guest g;

	vm = own;
	TRY(NO_MEMORY, set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, GiB, 64 * PG, (uintptr_t)f->map, f->fd, 0));
	g = guest_made();
	fill(f, 0, 4, 40);
	RUN(&g, KVM_EXIT_IO, ADD_ONE, OUT);
	f->value[0]++;
	check(f);
	converted(f, 0, 2, true);
	RUN(&g, KVM_EXIT_IO, ADD_ONE, OUT);
	check(f);
	RUN(&g, KVM_EXIT_MMIO, STORE, OUT);
	converted(f, 0, 2, false);
	f->value[0]++;
	check(f);
	guest_closed(&g);
	TRY(NO_MEMORY, set_region2(vm, 2, 0, 0, 0, 0, -1, 0));
	file_closed(f);
	vm = plain;
	close(own);
}

/* Whether the eventfd has been written to, within a generous while. */
static void check_event(int event)
{
	struct pollfd p = { .fd = event, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, 20000) != 1 || read(event, &count, sizeof(count)) != sizeof(count) || count != 1)
		bad("an event does not come");
}

static void interrupts(void)
{
	int first = eventfd(0, EFD_CLOEXEC), second = eventfd(0, EFD_CLOEXEC), plain = vm, own = vm_made(KVM_X86_SW_PROTECTED_VM);
	struct kvm_irqfd irqfd = { .fd = (uint32_t)first, .gsi = 5 };
	struct kvm_ioeventfd ioevent = { .addr = 0x10, .len = 1, .fd = second, .flags = KVM_IOEVENTFD_FLAG_PIO };
	struct kvm_pit_config pit = { 0 };
	struct kvm_irq_level level = { { .irq = 4 }, .level = 1 };
	struct guest g;

	vm = own;
	TRY(NO_MEMORY, ioctl(vm, KVM_CREATE_IRQCHIP, 0));
	TRY(NO_MEMORY, ioctl(vm, KVM_CREATE_PIT2, &pit));
	TRY(NO_MEMORY, ioctl(vm, KVM_IRQFD, &irqfd));
	TRY(NO_MEMORY, ioctl(vm, KVM_IOEVENTFD, &ioevent));
	TRY(NO_MEMORY, ioctl(vm, KVM_IRQ_LINE, &level));
	g = guest_made();
	RUN(&g, KVM_EXIT_MMIO, OUT, STORE);
	check_event(second);
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	TRY(NO_MEMORY, ioctl(vm, KVM_IRQFD, &irqfd));
	ioevent.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	TRY(NO_MEMORY, ioctl(vm, KVM_IOEVENTFD, &ioevent));
	guest_closed(&g);
	vm = plain;
	close(own);
	close(first);
	close(second);
}

static void fork_child(struct file *f)
{
	check(f);
	converted(f, 16, 8, true);
	fill(f, 24, 4, 90);
	check(f);
	_exit(*lost ? LOST : 0);
}

static void forks(void)
{
	struct file *f = file_made(vm);
	pid_t pid;

	fill(f, 0, PAGES, 50);
	converted(f, 2, 4, true);
	pid = forked();
	if (!pid)
		fork_child(f);
	ended(pid);
	if (!*lost) {
		memset(f->is_private + 16, 1, 8);
		for (unsigned i = 24; i < 28; i++)
			f->value[i] = (unsigned char)(90 + (i & 1));
	}
	converted(f, 16, 8, true);
	check(f);
	converted(f, 0, PAGES, false);
	check(f);
	file_closed(f);
}

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		bad("write to a pipe");
}

/* False when the other side has ended. */
static bool heard(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	if (poll(&p, 1, 20000) != 1)
		bad("nothing is heard of the other process");
	return read(fd, &byte, 1) == 1;
}

/* Several processes with views: what one converts the others may touch no more. */
#define SHARERS 3

static void sharer(struct file *f, int up, int down)
{
	check(f);
	tell(up);
	heard(down);
	memset(f->is_private + 8, 1, 4);
	memset(f->is_private + 510, 1, 4);
	check(f);
	tell(up);
	heard(down);
	memset(f->is_private, 0, PAGES);
	check(f);
	_exit(*lost ? LOST : 0);
}

static void several(void)
{
	struct file *f = file_made(vm);
	int up[SHARERS][2], down[SHARERS][2];
	pid_t pid[SHARERS];

	fill(f, 0, PAGES, 60);
	for (int i = 0; i < SHARERS; i++) {
		if (pipe2(up[i], O_CLOEXEC) || pipe2(down[i], O_CLOEXEC))
			bad("pipe2");
		pid[i] = forked();
		if (!pid[i]) {
			for (int j = 0; j <= i; j++) {
				close(up[j][0]);
				close(down[j][1]);
			}
			sharer(f, up[i][1], down[i][0]);
		}
		close(up[i][1]);
		close(down[i][0]);
	}
	for (int i = 0; i < SHARERS; i++)
		heard(up[i][0]);
	converted(f, 8, 4, true);
	converted(f, 510, 4, true);
	check(f);
	for (int i = 0; i < SHARERS; i++)
		if (write(down[i][1], "x", 1) != 1 && errno != EPIPE)
			bad("write to a pipe");
	for (int i = 0; i < SHARERS; i++)
		heard(up[i][0]);
	converted(f, 0, PAGES, false);
	check(f);
	for (int i = 0; i < SHARERS; i++) {
		close(down[i][1]);
		close(up[i][0]);
		ended(pid[i]);
	}
	file_closed(f);
}

static bool reads_as(char *ptr, unsigned char value)
{
	return touch_shared(__LINE__, ptr, -1).value == value;
}

/* Descriptors where a program's are. */
static int low_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++) {
		char path[32], link[128];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n += readlink(path, link, sizeof(link)) > 0;
	}
	return n;
}

/* Somebody who has nothing but the descriptor: page 1 is private, page 2 has 72. */
static int stranger(int fd)
{
	char *map = map_file(fd, NO_DEVICE);

	if (!reads_as(map + 2 * PG, 72))
		bad("the stranger reads something else");
	check_private(map + PG);
	TRY(NO_MEMORY | BUSY, set_attr2(fd, 4 * PG, PG, PRIVATE, NULL));
	check_private(map + 4 * PG);
	TRY(NO_MEMORY, munmap(map, SIZE));
	/* The file's, the standard ones, our pipe, the faults: what gmem has adopted with it is not to be seen. */
	if (low_fds() != 7)
		bad("%d descriptors instead of 7", low_fds());
	close(fd);
	return *lost ? LOST : 0;
}

static struct file *file_for_stranger(void)
{
	struct file *f = file_made(vm);

	fill(f, 0, PAGES, 72);
	converted(f, 1, 1, true);
	return f;
}

static void executes(void)
{
	struct file *f = file_for_stranger();
	char number[16];
	pid_t pid;

	snprintf(number, sizeof(number), "%d", f->fd);
	fcntl(f->fd, F_SETFD, 0);
	pid = forked();
	if (!pid) {
		TRY(NO_MEMORY | NO_FDS, execl("/proc/self/exe", "run_swept", "stranger", number, NULL));
		_exit(1);
	}
	ended(pid);
	converted(f, 4, 1, true);
	check(f);
	file_closed(f);
}

static int received(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(socket, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		bad("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	close(socket);
	return fd;
}

static void passes(void)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = "", number[16];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct file *f;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		bad("socketpair");
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	snprintf(number, sizeof(number), "%d", pair[1]);
	pid = forked();
	if (!pid) {
		TRY(NO_MEMORY | NO_FDS, execl("/proc/self/exe", "run_swept", "receiver", number, NULL));
		_exit(1);
	}
	close(pair[1]);
	f = file_for_stranger();
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &f->fd, sizeof(f->fd));
	if (sendmsg(pair[0], &msg, MSG_NOSIGNAL) != 1 && errno != EPIPE)
		bad("sendmsg");
	close(pair[0]);
	ended(pid);
	converted(f, 4, 1, true);
	check(f);
	file_closed(f);
}

static void *toucher(void *arg)
{
	struct file *f = arg;

	for (unsigned i = 0; i < 600; i++)
		if (!reads_as(f->map + (i % 4) * PG, f->value[i % 4]))
			bad("a thread reads something else");
	return NULL;
}

static void threads(void)
{
	struct file *f = file_made(vm);
	pthread_t thread[2];

	fill(f, 0, PAGES, 80);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&thread[i], NULL, toucher, f))
			bad("pthread_create");
	for (unsigned i = 0; i < 6; i++) {
		converted(f, 8 + i, 500, true);
		converted(f, 8 + i, 500, false);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	check(f);
	file_closed(f);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void handlers(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK }, old, now;
	stack_t stack = { .ss_sp = map_anon(64 * PG), .ss_size = 64 * PG };
	struct file *f = file_made(vm);
	sigset_t set, was;

	signals = 0;
	fill(f, 0, 8, 30);
	TRY(NEVER, sigaltstack(&stack, NULL));
	TRY(NEVER, sigaction(SIGUSR1, &sa, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGBUS);
	TRY(NEVER, sigprocmask(SIG_BLOCK, &set, &was));
	raise(SIGUSR1);
	converted(f, 0, 4, true);
	if (signals)
		bad("a blocked signal arrives");
	TRY(NEVER, sigprocmask(SIG_SETMASK, &was, NULL));
	if (signals != 1)
		bad("%d signals", (int)signals);
	TRY(NEVER, sigaction(SIGBUS, NULL, &old));
	TRY(NEVER, sigaction(SIGBUS, &old, &now));
	if (old.sa_sigaction != now.sa_sigaction)
		bad("the handler is another");
	check(f);
	stack.ss_flags = SS_DISABLE;
	TRY(NEVER, sigaltstack(&stack, NULL));
	munmap(stack.ss_sp, 64 * PG);
	file_closed(f);
}

/* --- main ----------------------------------------------------------------------------------- */

static const struct scenario {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "nothing", nothing },	  { "device", device },	    { "convert", convert }, { "views", views },
	{ "slots", slots },	  { "guest", guest },	    { "interrupts", interrupts }, { "forks", forks },
	{ "several", several },	  { "executes", executes }, { "passes", passes },   { "threads", threads },
	{ "handlers", handlers },
};

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static int maps_of_memfds(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "/memfd:") != NULL;
	if (f)
		fclose(f);
	return n;
}

static void open_faults(void)
{
	const char *path = getenv("GMEM_FAULTS");

	if (path)
		faults_fd = open(path, O_RDWR | O_CLOEXEC);
}

/* A second time with nothing failing: what failed has left no mark. */
static int run(const struct scenario *s)
{
	kvm = kvm_opened();
	vm = vm_made(KVM_X86_SW_PROTECTED_VM);
	s->run();
	disarm();
	s->run();
	close(vm);
	/* Closing is noticed at the next call. */
	vm = vm_made(0);
	close(vm);
	close(kvm);
	printf("left: %d descriptors, %d mappings of files, %d threads\n", entries("/proc/self/fd"), maps_of_memfds(),
	       entries("/proc/self/task"));
	return *lost ? LOST : 0;
}

int main(int argc, char **argv)
{
	lost = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	touch_init();
	signal(SIGPIPE, SIG_IGN);
	open_faults();
	if (pipe2(pipes, O_CLOEXEC))
		bad("pipe2");
	if (argc > 2 && !strcmp(argv[1], "stranger"))
		return stranger(atoi(argv[2]));
	if (argc > 2 && !strcmp(argv[1], "receiver"))
		return stranger(received(atoi(argv[2])));
	for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (!strcmp(argv[1], scenarios[i].name))
			return run(&scenarios[i]);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		puts(scenarios[i].name);
	return 2;
}
