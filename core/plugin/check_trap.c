/* check_trap.c - see check_trap.h. Between the fault and the end of the process only functions that are safe in a handler. */
#include "plugin/check_trap.h"

#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { STACK = 1 << 16, NEAR_NULL = 1 << 16 };

static void say(sn_check_result *r, const char *words)
{
	size_t n = strlen(r->text), more = strlen(words), room = sizeof r->text - 1 - n;
	memcpy(r->text + n, words, more < room ? more : room);
}

static void say_number(sn_check_result *r, uint64_t value)
{
	char digits[24] = {0};
	size_t at = sizeof digits - 1;
	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	say(r, digits + at);
}

static const char *access_of(const ucontext_t *u)
{
#if defined(__x86_64__)
	return u->uc_mcontext.gregs[REG_ERR] & 2 ? "writes through" : "reads through";
#else
	(void)u;
	return "follows";
#endif
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	check_host *h = check_host_running();
	check_trap *t = h ? h->trap : NULL;
	sn_check_result r = {.verdict = SN_CHECK_FAIL};
	if (!t)
		return;
	bool unmapped = info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR; /* si_addr means something */
	if (unmapped && check_device_has(h->device, info->si_addr)) {
		say(&r, "it ");
		say(&r, access_of(context));
		say(&r, " a tensor's handle");
		if (h->phase != IN_NOTHING) {
			say(&r, " in ");
			say(&r, check_phase_name(h->phase));
		}
		say(&r, ": numbers come and go by ops.read and ops.write");
	} else if (unmapped && (uintptr_t)info->si_addr < NEAR_NULL && h->fail_at && atomic_load(&h->n_asked) >= h->fail_at) {
		say(&r, "it follows NULL after request ");
		say_number(&r, h->fail_at);
		say(&r, " for memory failed");
	}
	if (*r.text)
		t->tell(&r);
	sigaction(number, number == SIGSEGV ? &t->segv : &t->bus, NULL); /* the same fault again, for whoever was there before */
}

bool check_trap_open(check_trap *t, check_host *h, void (*tell)(const sn_check_result *result))
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK, .sa_sigaction = on_fault};
	*t = (check_trap){.tell = tell};
	if (!tell)
		return true;
	t->stack = malloc(STACK);
	if (!t->stack || sigaltstack(&(stack_t){.ss_sp = t->stack, .ss_size = STACK}, &t->before) != 0) {
		free(t->stack);
		t->stack = NULL;
		return false;
	}
	h->trap = t;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, &t->segv);
	sigaction(SIGBUS, &sa, &t->bus);
	return true;
}

void check_trap_close(check_trap *t, check_host *h)
{
	if (!t->stack)
		return;
	sigaction(SIGSEGV, &t->segv, NULL);
	sigaction(SIGBUS, &t->bus, NULL);
	sigaltstack(&t->before, NULL);
	free(t->stack);
	t->stack = NULL;
	h->trap = NULL;
}
