/* isolate_cage.c - what a codec helper gives up: everything that its system calls and limits do not name here. */
#include <seccomp.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/isolate.h"

enum { NOBODY = 65534 };
enum { FILES = SN_CODEC_HELPER_FD + 3 /* a call brings two */ };

/* Memory, its one socket, clocks, its own end. Nothing that names a file, an address or another process. */
static const int allowed[] = {
    SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(close), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise),
    SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sysinfo), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(getrusage),
};

/* What libraries ask for and do without: a line for nobody to read, the size of a file that is none. */
static const int refused[] = {SCMP_SYS(ioctl), SCMP_SYS(newfstatat), SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(rt_sigaction)};

static int filter(scmp_filter_ctx f)
{
	int bad = 0;
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
		bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		bad |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	/* And tables of characters: iconv reads them from files when libavformat asks for those that a broadcast's names are said to be in. */
	bad |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY));
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())); /* abort() */
	for (scmp_datum_t fd = 1; fd < 3; fd++) { /* /dev/null */
		bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, fd));
		bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(writev), 1, SCMP_A0(SCMP_CMP_EQ, fd));
	}
	return bad;
}

static bool limit(int what, size_t most)
{
	const struct rlimit l = {most, most};
	return setrlimit(what, &l) == 0;
}

/* Addresses and private memory in use, in bytes. */
static bool in_use(size_t *addresses, size_t *data)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	FILE *f = fopen("/proc/self/statm", "re");
	bool ok = f && fscanf(f, "%zu %*u %*u %*u %*u %zu", addresses, data) == 2;
	if (f)
		fclose(f);
	*addresses *= page;
	*data *= page;
	return ok;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
	return syscall(SYS_capset, &head, none) == 0;
}

/* The server must still be able to kill it. */
bool isolate_drop_root(void)
{
	static const int needed[] = {CAP_SETUID, CAP_SETGID, CAP_KILL};
	if (geteuid() != 0 && getuid() != 0)
		return true;
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (prctl(PR_CAPBSET_READ, needed[i], 0, 0, 0) != 1)
			return false;
	return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

const char *isolate_cage(size_t memory, size_t mapped, uint64_t life_s)
{
	size_t addresses = 0, data = 0;
	if (!in_use(&addresses, &data))
		return "a codec helper cannot see how much memory it has";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)memory, (void)mapped; /* their shadows take any amount */
	bool limited = true;
#else
	bool limited = limit(RLIMIT_DATA, data + memory) && limit(RLIMIT_AS, addresses + memory + mapped);
#endif
	if (!limited || !limit(RLIMIT_CPU, life_s) || !limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, FILES) || !limit(RLIMIT_FSIZE, 0) || !limit(RLIMIT_MEMLOCK, 0))
		return "a codec helper cannot limit itself";
	if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !drop_capabilities())
		return "a codec helper cannot give up its rights";
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int bad = f ? filter(f) : -1;
	if (!bad)
		bad = seccomp_load(f);
	if (f)
		seccomp_release(f);
	return bad ? "the system calls of a codec helper cannot be limited (seccomp)" : NULL;
}
