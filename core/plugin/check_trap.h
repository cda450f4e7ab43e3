/* check_trap.h - what a check says of a fault, when the fault says what it was: a tensor's handle followed, or NULL after memory ran
 * out. All other faults end the process as they would without it. */
#ifndef SN_PLUGIN_CHECK_TRAP_H
#define SN_PLUGIN_CHECK_TRAP_H

#include <signal.h>

#include "plugin/check_host.h"

/* Handlers of SIGSEGV and SIGBUS, on a stack of their own, for the host that runs in this process. */
typedef struct check_trap {
	void *stack;
	stack_t before;
	struct sigaction segv, bus; /* whose turn it is afterwards */
	void (*tell)(const sn_check_result *result);
} check_trap;

bool check_trap_open(check_trap *t, check_host *h, void (*tell)(const sn_check_result *result));
void check_trap_close(check_trap *t, check_host *h);

#endif
