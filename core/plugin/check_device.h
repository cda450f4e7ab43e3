/* check_device.h - the test device of `plugins --check`: tensors as a plugin sees them on a GPU, where nobody but the host
 * gets at their numbers.
 *
 *   the plugin's side   a handle: an address in one large reservation of PROT_NONE pages. Views reckon with it as with any other.
 *   the host's side     its shadow: the readable memory that the real services gave
 *
 * Between two tensors lies at least a page that is nobody's, and no address is used twice while a handle may still be about: what
 * ends outside its tensor, or outlives its job, has no shadow. A load or a store through a handle is SIGSEGV with an address
 * inside the reservation, by which check_trap.c knows it. */
#ifndef SN_PLUGIN_CHECK_DEVICE_H
#define SN_PLUGIN_CHECK_DEVICE_H

#include "core.h"

typedef struct check_device check_device;

sn_status check_device_open(check_device **out, sn_error *err);
void check_device_close(check_device **d);
/* The handle of the bytes at `shadow`; NULL: no memory, or no addresses left. owner: whose end ends it. [any] */
void *check_device_add(check_device *d, const void *owner, void *shadow, size_t bytes);
void check_device_drop(check_device *d, const void *owner);
/* What lies behind the bytes from `handle` on; NULL unless all of them are in one live tensor. [any] */
void *check_device_shadow(check_device *d, const void *handle, size_t bytes);
/* Is it an address of the reservation? Safe in signal handlers. */
bool check_device_has(const check_device *d, const void *p);

#endif
