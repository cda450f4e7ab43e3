#include "transcript_format.h"

#include <math.h>
#include <string.h>

void transcript_number(out_buf *o, double value)
{
	out_fmt(o, "%.9g", isfinite(value) ? value : -9999.0); /* JSON has no infinity; OpenAI writes this for one */
}

static void seconds(out_buf *o, const char *name, double value)
{
	out_fmt(o, ",\"%s\":%.10g", name, isfinite(value) ? round(value * 1000) / 1000 : 0.0);
}

/* Without the blanks around it; whole lines of nothing but it. */
static void trim(const char **text, size_t *size)
{
	while (*size && strchr(" \t\r\n", **text) && **text) {
		++*text;
		--*size;
	}
	while (*size && (*text)[*size - 1] && strchr(" \t\r\n", (*text)[*size - 1]))
		--*size;
}

void transcript_segment(out_buf *o, const sn_segment *s)
{
	/* seek counts hundredths of a second, as the reference implementation's frames */
	out_fmt(o, "%s{\"id\":%u,\"seek\":%lld", o->size ? "," : "", s->id, isfinite(s->seek) ? (long long)llround(s->seek * 100) : 0LL);
	seconds(o, "start", s->start);
	seconds(o, "end", s->end);
	out_text(o, ",\"text\":");
	out_json(o, s->text, s->size);
	out_text(o, ",\"tokens\":[");
	for (size_t i = 0; i < s->n_tokens; i++)
		out_fmt(o, i ? ",%d" : "%d", s->tokens[i]);
	const struct { const char *name; float value; } numbers[] = {{"temperature", s->temperature}, {"avg_logprob", s->avg_logprob},
	                                                             {"compression_ratio", s->compression_ratio}, {"no_speech_prob", s->no_speech_prob}};
	out_text(o, "]");
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		out_fmt(o, ",\"%s\":", numbers[i].name);
		transcript_number(o, (double)numbers[i].value);
	}
	out_text(o, "}");
}

void transcript_words(out_buf *o, const sn_segment *s)
{
	for (size_t i = 0; i < s->n_words; i++) {
		const char *text = s->words[i].text;
		size_t size = s->words[i].size;
		trim(&text, &size);
		out_text(o, o->size ? ",{\"word\":" : "{\"word\":");
		out_json(o, text, size);
		seconds(o, "start", s->words[i].start);
		seconds(o, "end", s->words[i].end);
		out_text(o, "}");
	}
}

/* ---- subtitles ---- */

static void stamp(out_buf *o, double at, char point)
{
	unsigned long long ms = isfinite(at) && at > 0 ? (unsigned long long)llround(at * 1000) : 0;
	out_fmt(o, "%02llu:%02llu:%02llu%c%03llu", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, point, ms % 1000);
}

static void times(out_buf *o, const sn_segment *s, char point)
{
	stamp(o, s->start, point);
	out_text(o, " --> ");
	stamp(o, s->end, point);
	out_text(o, "\n");
}

static bool begins_arrow(const char *text, size_t size)
{
	size_t n = 0;
	while (n < size && text[n] == '-')
		n++;
	return n >= 2 && n < size && text[n] == '>';
}

/* One line: a line break or an arrow in it would be read as the end of the cue, or as times. WebVTT knows tags and entities. */
static void cue_text(out_buf *o, const sn_segment *s, bool is_vtt)
{
	const char *text = s->text;
	size_t size = s->size;
	trim(&text, &size);
	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		if (c == '\n' || c == '\r' || c == '\0')
			out_text(o, " ");
		else if (is_vtt && (c == '&' || c == '<' || c == '>'))
			out_text(o, c == '&' ? "&amp;" : c == '<' ? "&lt;" : "&gt;");
		else if (!is_vtt && c == '-' && begins_arrow(text + i, size - i))
			continue; /* "-->" becomes "->" */
		else
			out_bytes(o, &c, 1);
	}
	out_text(o, "\n\n");
}

void transcript_srt(out_buf *o, const sn_segment *s)
{
	out_fmt(o, "%u\n", s->id + 1);
	times(o, s, ',');
	cue_text(o, s, false);
}

void transcript_vtt(out_buf *o, const sn_segment *s)
{
	times(o, s, '.');
	cue_text(o, s, true);
}

/* ---- usage ---- */

void transcript_usage_seconds(out_buf *o, double duration)
{
	out_fmt(o, "\"usage\":{\"type\":\"duration\",\"seconds\":%.0f}", isfinite(duration) && duration > 0 ? ceil(duration) : 0.0);
}

void transcript_usage_tokens(out_buf *o, const sn_usage *u)
{
	out_fmt(o, "\"usage\":{\"type\":\"tokens\",\"input_tokens\":%u,\"input_token_details\":{\"text_tokens\":%u,\"audio_tokens\":%u},"
	           "\"output_tokens\":%u,\"total_tokens\":%llu}",
	        u->prompt_tokens, u->prompt_tokens >= u->media_rows ? u->prompt_tokens - u->media_rows : 0, u->media_rows, u->completion_tokens,
	        (unsigned long long)u->prompt_tokens + u->completion_tokens);
}
