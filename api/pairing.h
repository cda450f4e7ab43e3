/* pairing.h - who speaks for whom: a model's own voice, or the speaker that models.json or --speaker pairs it with. */
#ifndef API_PAIRING_H
#define API_PAIRING_H

#include "api.h"

/* The model that speaks what `model` says; NULL: nobody. */
const sn_model_info *pairing_speaker(const api *a, const char *model);
/* Once the models are loaded: every speaker that is named is there, and speaks. */
int pairing_check(const api *a, sn_error *err);

#endif
