/* How transcripts look (times, escapes, usage), and what is taken out of a chat model's answer before they do. */
#include "unit.h"

#include "languages.h"
#include "reasoning.h"
#include "transcript_format.h"

static out_buf out;

static int tear_down(void **state)
{
	(void)state;
	out_fini(&out);
	return 0;
}

static void assert_out(const char *want)
{
	assert_false(out.failed);
	if (out.size != strlen(want) || memcmp(out.data ? out.data : "", want, out.size) != 0)
		fail_msg("%.*s\n---- instead of\n%s", (int)out.size, out.data ? out.data : "", want);
	out.size = 0;
}

static sn_segment segment(const char *text, double start, double end)
{
	return (sn_segment){.start = start, .end = end, .text = text, .size = strlen(text)};
}

static void times_are_told_to_the_millisecond(void **state)
{
	(void)state;
	static const struct { double at; const char *srt, *vtt; } CASES[] = {
	    {0, "00:00:00,000", "00:00:00.000"}, {0.02, "00:00:00,020", "00:00:00.020"}, {1.9994, "00:00:01,999", "00:00:01.999"},
	    {1.9996, "00:00:02,000", "00:00:02.000"}, {59.9999, "00:01:00,000", "00:01:00.000"}, {3599.9996, "01:00:00,000", "01:00:00.000"},
	    {3661.5, "01:01:01,500", "01:01:01.500"}, {36000, "10:00:00,000", "10:00:00.000"}, {360000.25, "100:00:00,250", "100:00:00.250"},
	    {-1, "00:00:00,000", "00:00:00.000"}, {0.0 / 0.0, "00:00:00,000", "00:00:00.000"}};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		sn_segment s = segment(" Hi. ", 0, CASES[i].at);
		char want[128];
		s.id = 41;
		transcript_srt(&out, &s);
		snprintf(want, sizeof want, "42\n00:00:00,000 --> %s\nHi.\n\n", CASES[i].srt);
		assert_out(want);
		transcript_vtt(&out, &s);
		snprintf(want, sizeof want, "00:00:00.000 --> %s\nHi.\n\n", CASES[i].vtt);
		assert_out(want);
	}
}

/* Nothing that is said can end its cue, open another one, or be taken for a tag. */
static void cues_hold_any_words(void **state)
{
	(void)state;
	static const struct { const char *said, *srt, *vtt; } CASES[] = {
	    {"", "", ""}, {" \n ", "", ""}, {"a\nb", "a b", "a b"}, {"a\n\n2\n00:00:00,000 --> x", "a  2 00:00:00,000 -> x", "a  2 00:00:00,000 --&gt; x"},
	    {"a\r\nb", "a  b", "a  b"}, {"1 --> 2", "1 -> 2", "1 --&gt; 2"}, {"---->", "->", "----&gt;"}, {"-->-->", "->->", "--&gt;--&gt;"}, {"a -- b ->", "a -- b ->", "a -- b -&gt;"},
	    {"<v Bob> &amp; \"x\"", "<v Bob> &amp; \"x\"", "&lt;v Bob&gt; &amp;amp; \"x\""}, {"\xe4\xbd\xa0\xe5\xa5\xbd", "\xe4\xbd\xa0\xe5\xa5\xbd", "\xe4\xbd\xa0\xe5\xa5\xbd"}};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		sn_segment s = segment(CASES[i].said, 0, 1);
		char want[256];
		transcript_srt(&out, &s);
		snprintf(want, sizeof want, "1\n00:00:00,000 --> 00:00:01,000\n%s\n\n", CASES[i].srt);
		assert_out(want);
		transcript_vtt(&out, &s);
		snprintf(want, sizeof want, "00:00:00.000 --> 00:00:01.000\n%s\n\n", CASES[i].vtt);
		assert_out(want);
	}
	sn_segment nul = {.text = "a\0b", .size = 3};
	transcript_srt(&out, &nul);
	assert_out("1\n00:00:00,000 --> 00:00:00,000\na b\n\n");
}

static void segments_have_openai_s_members(void **state)
{
	(void)state;
	static const int32_t TOKENS[] = {50364, 2425, 50414};
	static const sn_word WORDS[] = {{" \"Hi\"", 5, 3600, 3600.5}, {" \xff there.\n", 10, 3600.5, 3601.25}};
	sn_segment s = {.id = 7, .start = 3600, .end = 3601.2, .seek = 3570.5, .text = " \"Hi\"\\ \x01there.\n", .size = 15, .tokens = TOKENS, .n_tokens = 3,
	                .temperature = 0.5f, .avg_logprob = -0.25f, .compression_ratio = 1.5f, .no_speech_prob = 0.125f, .words = WORDS, .n_words = 2};
	transcript_segment(&out, &s);
	assert_out("{\"id\":7,\"seek\":357050,\"start\":3600,\"end\":3601.2,\"text\":\" \\\"Hi\\\"\\\\ \\u0001there.\\n\",\"tokens\":[50364,2425,50414],"
	           "\"temperature\":0.5,\"avg_logprob\":-0.25,\"compression_ratio\":1.5,\"no_speech_prob\":0.125}");
	transcript_words(&out, &s);
	assert_out("{\"word\":\"\\\"Hi\\\"\",\"start\":3600,\"end\":3600.5},{\"word\":\"\xef\xbf\xbd there.\",\"start\":3600.5,\"end\":3601.25}");
	s.n_tokens = s.n_words = 0;
	s.avg_logprob = -1.0f / 0.0f;
	out_text(&out, "x");
	transcript_segment(&out, &s);
	transcript_words(&out, &s);
	assert_out("x,{\"id\":7,\"seek\":357050,\"start\":3600,\"end\":3601.2,\"text\":\" \\\"Hi\\\"\\\\ \\u0001there.\\n\",\"tokens\":[],\"temperature\":0.5,"
	           "\"avg_logprob\":-9999,\"compression_ratio\":1.5,\"no_speech_prob\":0.125}");
}

static void usage_is_by_time_or_by_tokens(void **state)
{
	(void)state;
	transcript_usage_seconds(&out, 9.01);
	assert_out("\"usage\":{\"type\":\"duration\",\"seconds\":10}");
	transcript_usage_seconds(&out, 0);
	assert_out("\"usage\":{\"type\":\"duration\",\"seconds\":0}");
	transcript_usage_tokens(&out, &(sn_usage){.prompt_tokens = 100, .completion_tokens = UINT32_MAX, .media_rows = 90});
	assert_out("\"usage\":{\"type\":\"tokens\",\"input_tokens\":100,\"input_token_details\":{\"text_tokens\":10,\"audio_tokens\":90},"
	           "\"output_tokens\":4294967295,\"total_tokens\":4294967395}");
}

static void languages_have_english_names(void **state)
{
	(void)state;
	static const char *const CASES[][2] = {{"en", "english"}, {"de", "german"}, {"haw", "hawaiian"}, {"yue", "cantonese"}, {"ht", "haitian creole"}, {"", "english"}, {"xx", "xx"}};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
		assert_string_equal(language_name(CASES[i][0]), CASES[i][1]);
}

/* Whole, and in pieces of every size. */
static void think(const char *answer, bool open, const char *left)
{
	size_t size = strlen(answer);
	for (size_t piece = 1; piece <= size + 1; piece++) {
		reasoning r = {.inside = false};
		if (open)
			assert_true(reasoning_is_open("user\nx\nassistant\n<think>\n", 25, &r));
		for (size_t at = 0; at < size; at += piece)
			reasoning_feed(&r, &out, answer + at, size - at < piece ? size - at : piece);
		reasoning_end(&r, &out);
		assert_out(left);
	}
}

static void thinking_is_left_out(void **state)
{
	(void)state;
	think("Hello.", false, "Hello.");
	think("<think>It says hello.</think>Hello.", false, "Hello.");
	think("\n<think>\na < b </thin </think>\n\nHello.", false, "\n\n\nHello.");
	think("It says hello.</think>Hello.", true, "Hello.");
	think("It never ends", true, "");
	think("<think>It never ends </think", false, "");
	think("<think></think><think>again</think>a", false, "a");
	think("[THINK]a</think>b[/THINK]c", false, "c");
	think("a <b> [THINKING] <thin", false, "a <b> [THINKING] <thin");
	think("<<think>x</think>>", false, "<>");
	think("<th<think>x</</think>y", false, "<thy");
	think("\xe4\xbd\xa0<think>\xe5\xa5\xbd</think>\xe5\xa5\xbd", false, "\xe4\xbd\xa0\xe5\xa5\xbd");
	reasoning r = {.inside = false};
	assert_false(reasoning_is_open("", 0, &r) || reasoning_is_open("think>", 6, &r) || reasoning_is_open("<think></think>\n", 16, &r) || r.inside);
	assert_true(reasoning_is_open("[THINK]", 7, &r) && r.inside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_are_told_to_the_millisecond), cmocka_unit_test(cues_hold_any_words), cmocka_unit_test(segments_have_openai_s_members),
	    cmocka_unit_test(usage_is_by_time_or_by_tokens), cmocka_unit_test(languages_have_english_names), cmocka_unit_test(thinking_is_left_out)};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
