/* zoo.h - the habits, by number; CMakeLists.txt makes one .so of each. */
#ifndef TESTS_ZOO_H
#define TESTS_ZOO_H

#define ZOO_TRIGGER 666.0f

/* refused at load */
#define ZOO_GOOD 0
#define ZOO_STAMP_MAGIC 1
#define ZOO_STAMP_SIZE 2
#define ZOO_STAMP_MAJOR 3
#define ZOO_STAMP_MINOR 4
#define ZOO_STAMP_PLUGIN 5
#define ZOO_STAMP_FAULT 6
#define ZOO_STAMP_HOST 7
#define ZOO_STAMP_POINTER 8
#define ZOO_STAMP_ENDIAN 9
#define ZOO_NO_ENTRY 10
#define ZOO_NULL_ENTRY 11
#define ZOO_EMPTY_LIST 12
#define ZOO_NO_LIST 13
#define ZOO_NULL_DESCRIPTOR 14
#define ZOO_NO_INIT 15
#define ZOO_BAD_ID 16
#define ZOO_BAD_KIND 17
#define ZOO_SMALL_VTABLE 18
#define ZOO_NO_DECODE 19
#define ZOO_PLAN_ALONE 20
#define ZOO_HUGE_INSTANCE 21
#define ZOO_SAME_ID 22
#define ZOO_UNRESOLVED 23
#define ZOO_INIT_FAILS 24
#define ZOO_LOAD_FAILS 25
/* codec fails */
#define ZOO_MEASURE_FAILS 30
#define ZOO_NO_SAMPLES 31
#define ZOO_WRONG_KIND 32
#define ZOO_DECODE_FAILS 33
#define ZOO_DECODE_ODD_CODE 34
#define ZOO_DECODE_RESHAPES 35
/* encoder fails */
#define ZOO_PLAN_FAILS 40
#define ZOO_NO_ROWS 41
#define ZOO_MANY_HOLES 42
#define ZOO_HUGE_TEXT 43
#define ZOO_LAYOUT_FAILS 44
#define ZOO_HOLES_DO_NOT_ADD_UP 45
#define ZOO_HOLE_OUTSIDE 46
#define ZOO_BEGIN_FAILS 47
#define ZOO_STEP_FAILS 48
#define ZOO_STEP_ODD_CODE 49
#define ZOO_NO_PROGRESS 50
#define ZOO_NEVER_ENDS 51
#define ZOO_SHORT_ROWS 52
#define ZOO_NAN_ROWS 53
#define ZOO_INF_ROWS 54
#define ZOO_HANGS 55
/* does not fit the model */
#define ZOO_NO_MARKER 60
#define ZOO_UNKNOWN_TOKEN 61
#define ZOO_WRONG_WIDTH 62
/* fits, after a while */
#define ZOO_SLOW_LOAD 63
/* fits, where there is memory for it */
#define ZOO_HOLDS_MUCH 64
#define ZOO_MUCH (32u << 20)
/* what only `plugins --check` finds */
#define ZOO_LEAKS 70
#define ZOO_CRASHES_AT_SECOND_LOAD 71
#define ZOO_CRASHES_WITHOUT_MEMORY 72
#define ZOO_ALLOCATES_IN_STEP 73
#define ZOO_READS_HANDLES 74
#define ZOO_READS_PAST 75
#define ZOO_WRITES_PAST 76
#define ZOO_SHORT_SAMPLES 77
#define ZOO_NO_LIMITS 78
#define ZOO_COUNTS_CALLS 79
#define ZOO_WRITES_HANDLES 80
#define ZOO_USES_STALE_TENSORS 81
#define ZOO_CRASHES_WITHOUT_MALLOC 82
#define ZOO_LEAKS_WITHOUT_MALLOC 83
#define ZOO_BLAMES_INPUT_WITHOUT_MALLOC 84
#define ZOO_MALLOCS_IN_STEP 85
#define ZOO_ALLOCATES_EVERY_WAY 86
#define ZOO_REACHES_OUTSIDE 87
/* the same numbers as sound, at the rate that is wanted; and at its own */
#define ZOO_SOUND 88
#define ZOO_SOUND_OF_ITS_RATE 89
/* writer fails */
#define ZOO_FILE_BOUND_TOO_LOW 90
#define ZOO_FILE_BESIDE_ROOM 91
#define ZOO_FILE_BEFORE_ROOM 92
#define ZOO_FILE_OF_ITS_TIME 93
#define ZOO_FILE_OF_ANY_TYPE 94
#define ZOO_FILE_OF_ANY_MEDIA 95
#define ZOO_FILE_OF_OTHER_ROWS 96
#define ZOO_FILE_NEVER_TOO_LARGE 97
#define ZOO_FILE_UNREADABLE 98
#define ZOO_FILE_SPOILS_MEDIA 99
#define ZOO_FILE_NEEDS_ITS_BOUND 100
/* sn.transcribe/1 */
#define ZOO_SMALL_TRANSCRIBE 101
#define ZOO_NO_CUT 102
#define ZOO_TRANSCRIBES_ALONE 103
/* what a decoder that was taken over might do: the file's text says where */
#define ZOO_DECODE_CRASHES 130
#define ZOO_DECODE_GIVES_UP 131
#define ZOO_DECODE_LOOPS 132
#define ZOO_DECODE_TAKES_MEMORY 133
#define ZOO_DECODE_SHARES_MEMORY 134
#define ZOO_DECODE_OPENS 135
#define ZOO_DECODE_CONNECTS 136
#define ZOO_DECODE_FORKS 137
#define ZOO_MEASURE_CRASHES 138
/* wild.c: for each call what its file says */
#define ZOO_WILD 140
/* speaker.c: sn.speak/1 and sn.synth/1 */
#define ZOO_SPEAKS 110
#define ZOO_SPEAKS_OF_CHUNKS 111
#define ZOO_SPEAKS_OF_COMPANY 112
#define ZOO_SPEAKS_TOO_LITTLE 113
#define ZOO_SPEAKS_TOO_MUCH 114
#define ZOO_SPEAKS_UNFILLED 115
#define ZOO_SPEAKS_BESIDE 116
#define ZOO_SPEAKS_OVER_CODES 117
#define ZOO_SPEAKS_WITHOUT_LIMITS 118
#define ZOO_SPEAKS_OF_NOBODY 119
#define ZOO_SPEAKS_NO_WORDS 120
#define ZOO_SPEAKS_NOT_OF_ITSELF 121
#define ZOO_SPEAKS_WITHOUT_SOUND 122

#endif
