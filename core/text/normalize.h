/* normalize.h - Unicode's canonical composition (NFC) for text that may hold anything: bytes that are not UTF-8 stay as
 * they are and part what is before them from what is after. Time is linear but for sorting runs of combining marks. */
#ifndef SN_TEXT_NORMALIZE_H
#define SN_TEXT_NORMALIZE_H

#include "base/buf.h"
#include "base/str.h"

/* Appends NFC(text) to out. False when memory is short. */
bool normalize_nfc(str text, buf *out);

#endif
