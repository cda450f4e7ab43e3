/* transcript_format.h - how transcripts look: OpenAI's JSON of segments and words, and subtitles. Pure functions of segments, each of
 * which appends; the endpoint (transcriptions.c) puts heads and ends around them.
 */
#ifndef API_TRANSCRIPT_FORMAT_H
#define API_TRANSCRIPT_FORMAT_H

#include "core.h"
#include "out.h"

typedef enum transcript_form { TRANSCRIPT_JSON, TRANSCRIPT_TEXT, TRANSCRIPT_VERBOSE, TRANSCRIPT_SRT, TRANSCRIPT_VTT } transcript_form;

/* Members of verbose_json's lists: one segment; one after another, its words. A comma comes first if o is not empty. */
void transcript_segment(out_buf *o, const sn_segment *s);
void transcript_words(out_buf *o, const sn_segment *s);
/* One cue with its empty line. SubRip numbers them from 1; WebVTT's file begins with its name and an empty line. */
void transcript_srt(out_buf *o, const sn_segment *s);
void transcript_vtt(out_buf *o, const sn_segment *s);
#define TRANSCRIPT_VTT_HEAD "WEBVTT\n\n"
/* "usage": by the length of the recording, in whole seconds, or by tokens. With the name of the member. */
void transcript_usage_seconds(out_buf *o, double duration);
void transcript_usage_tokens(out_buf *o, const sn_usage *u);
/* A number of seconds, or of anything else that may be no JSON number. */
void transcript_number(out_buf *o, double value);

#endif
