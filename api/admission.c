#include "admission.h"

#include "fault.h"

int admission_enter(api *a, sn_error *err)
{
	unsigned others = atomic_fetch_add(&a->in_flight, 1);
	if (atomic_load(&a->draining))
		return fault_set(err, SN_ERR_DRAINING, NULL, "the server is shutting down");
	if (!atomic_load(&a->loaded))
		return fault_set(err, SN_ERR_DRAINING, NULL, "the model is still loading");
	if (others >= a->max_in_flight)
		return fault_set(err, SN_ERR_QUEUE_FULL, NULL, "too many requests at once; try again later");
	return SN_OK;
}

void admission_leave(api *a)
{
	atomic_fetch_sub(&a->in_flight, 1);
}
