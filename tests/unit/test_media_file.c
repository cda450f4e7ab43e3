/* file: URLs stay inside the operator's folder (check 26), by openat2 and by the walk that replaces it on older kernels. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media_file.h"

static char root[64]; /* .../in is the folder, .../inside and .../out are beside it */
static media_folder folder;

static char *at(const char *name)
{
	static char path[8][256];
	static unsigned turn;
	char *p = path[turn++ % 8];
	snprintf(p, sizeof *path, "%s/%s", root, name);
	return p;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_tree(void **state)
{
	(void)state;
	sn_error err;
	strcpy(root, "/tmp/sn-media-XXXXXX");
	assert_non_null(mkdtemp(root));
	static const char *const FOLDERS[] = {"in", "in/deep", "in/deep/er", "inside", "out"};
	for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS; i++)
		assert_int_equal(mkdir(at(FOLDERS[i]), 0755), 0);
	put("in/a.png", "four");
	put("in/deep/er/b.png", "bytes");
	put("in/sp ace%.png", "x");
	put("in/..dots", "x");
	put("inside/c.png", "secret");
	put("out/secret.png", "secret");
	assert_int_equal(mkfifo(at("in/fifo"), 0644), 0);
	assert_int_equal(symlink("../out/secret.png", at("in/link-out")), 0);
	assert_int_equal(symlink("../out", at("in/folder-out")), 0);
	assert_int_equal(symlink("/etc/passwd", at("in/link-absolute")), 0);
	assert_int_equal(symlink("deep/er/b.png", at("in/link-in")), 0);
	assert_int_equal(symlink("/proc/self", at("in/proc")), 0);
	assert_int_equal(symlink("/dev/zero", at("in/zero")), 0);
	assert_int_equal(symlink("loop", at("in/loop")), 0);
	return media_folder_open(&folder, at("in"), &err) == SN_OK ? 0 : -1;
}

static int remove_tree(void **state)
{
	(void)state;
	media_folder_close(&folder);
	static const char *const ALL[] = {"in/a.png", "in/deep/er/b.png", "in/sp ace%.png", "in/..dots", "inside/c.png", "out/secret.png", "in/fifo",
	                                  "in/link-out", "in/folder-out", "in/link-absolute", "in/link-in", "in/proc", "in/zero", "in/loop"};
	for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++)
		unlink(at(ALL[i]));
	static const char *const FOLDERS[] = {"in/deep/er", "in/deep", "in", "inside", "out", ""};
	for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS; i++)
		rmdir(at(FOLDERS[i]));
	return 0;
}

/* What a URL leads to: the file's size, or minus the status. %s is the tree's root. */
static long open_url(const char *url, size_t max_bytes)
{
	char text[512];
	size_t size = 0;
	sn_error err = {0};
	snprintf(text, sizeof text, url, root);
	int fd = media_file_open(&folder, text, max_bytes, &size, "param", &err);
	if (fd >= 0) {
		assert_int_equal(lseek(fd, 0, SEEK_END), size);
		close(fd);
		return (long)size;
	}
	assert_string_equal(err.param, "param");
	assert_null(strstr(err.text, root + 1)); /* no path */
	return -(long)err.status;
}

static void files_inside_are_opened(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		long size;
	} CASES[] = {
	    {"file://%s/in/a.png", 4}, {"file://localhost%s/in/a.png", 4}, {"file://LocalHost%s/in/a.png", 4}, {"file://%s/in/deep/er/b.png", 5},
	    {"file://%s/in//deep///er/b.png", 5}, {"file://%s/in/./a.png", 4}, {"file://%s/in/%%61.png", 4}, {"file://%s/in/sp%%20ace%%25.png", 1},
	    {"file://%s/in%%2fa.png", 4}, {"file://%s/in/..dots", 1}, {"file://%s/in/link-in", 5}};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
		if (open_url(CASES[i].url, 100) != CASES[i].size)
			fail_msg("%s", CASES[i].url);
	assert_int_equal(open_url("file://%s/in/a.png", 4), 4);
	assert_int_equal(open_url("file://%s/in/a.png", 3), -SN_ERR_TOO_LARGE);
}

static void nothing_else_is(void **state)
{
	(void)state;
	static const char *const URLS[] = {
	    "file://%s/in/../out/secret.png", "file://%s/in/%%2e%%2e/out/secret.png", "file://%s/in/deep/../../out/secret.png", "file://%s/in/..",
	    "file://%s/in/link-out", "file://%s/in/folder-out/secret.png", "file://%s/in/link-absolute", "file://%s/in/proc/environ",
	    "file://%s/in/zero", "file://%s/in/loop", "file://%s/in/fifo", "file://%s/in/deep", "file://%s/in", "file://%s/in/", "file://%s/in/a.png/",
	    "file://%s/in/none.png", "file://%s/inside/c.png", "file://%s/out/secret.png", "file:///etc/passwd", "file:///proc/self/environ",
	    "file:///dev/zero", "file:///proc/self/fd/0", "file://%s/in/a.png?x", "file://%s/in/a.png#x", "file://%s/in/a.png%%00.png",
	    "file://%s/in/%%6", "file://%s/in/%%zz", "file:%s/in/a.png", "file:a.png", "file://", "file:///", "file://other%s/in/a.png",
	    "file://localhost.evil%s/in/a.png", "file://127.0.0.1%s/in/a.png", "file://%s/in/a.png\\", "file:", "file:////etc/passwd"};
	for (size_t i = 0; i < sizeof URLS / sizeof *URLS; i++)
		if (open_url(URLS[i], 1000) != -SN_ERR_INVALID)
			fail_msg("%s", URLS[i]);
}

/* No oracle: what is outside, missing, forbidden or no file is refused in the same words. */
static void refusals_do_not_tell_what_exists(void **state)
{
	(void)state;
	static const char *const URLS[] = {"file://%s/in/none.png", "file://%s/in/fifo", "file://%s/out/secret.png", "file:///etc/passwd",
	                                   "file:///etc/nonesuch", "file://%s/in/link-out", "file://%s/in/deep"};
	char first[sizeof((sn_error *)0)->text] = "";
	for (size_t i = 0; i < sizeof URLS / sizeof *URLS; i++) {
		char text[512];
		size_t size;
		sn_error err = {0};
		snprintf(text, sizeof text, URLS[i], root);
		assert_int_equal(media_file_open(&folder, text, 1000, &size, "param", &err), -1);
		if (!*first)
			memcpy(first, err.text, sizeof first);
		assert_string_equal(err.text, first);
	}
}

/* The walk keeps what openat2 keeps; links inside it refuses as well. */
static void the_walk_is_as_strict(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		bool found, careful;
	} CASES[] = {{"a.png", true, true}, {"deep/er/b.png", true, true}, {"deep//er/./b.png", true, true}, {"link-in", true, false},
	             {"link-out", false, false}, {"folder-out/secret.png", false, false}, {"link-absolute", false, false}, {"proc/environ", false, false},
	             {"../out/secret.png", false, false}, {"deep/../../out/secret.png", false, false}, {"..", false, false}, {"none", false, false},
	             {"a.png/x", false, false}, {"a.png/", false, false}, {"loop", false, false}, {"/etc/passwd", false, false}, {"", false, false}};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
		for (int careful = 0; careful < 2; careful++) {
			int fd = media_folder_find(folder.fd, CASES[i].path, careful);
			if ((fd >= 0) != (careful ? CASES[i].careful : CASES[i].found))
				fail_msg("%s, %d", CASES[i].path, careful);
			if (fd >= 0)
				close(fd);
		}
}

static void a_folder_must_be_one(void **state)
{
	(void)state;
	media_folder f;
	sn_error err;
	assert_int_equal(media_folder_open(&f, "relative", &err), SN_ERR_INVALID);
	assert_int_equal(media_folder_open(&f, "/", &err), SN_ERR_INVALID);
	assert_int_equal(media_folder_open(&f, "/usr/..", &err), SN_ERR_INVALID);
	assert_int_equal(media_folder_open(&f, at("none"), &err), SN_ERR_INVALID);
	assert_int_equal(media_folder_open(&f, at("in/a.png"), &err), SN_ERR_INVALID);
	assert_int_equal(f.fd, -1);
	char url[256];
	size_t size;
	assert_int_equal(media_folder_open(&f, at("in/deep/"), &err), SN_OK); /* a slash behind it is no difference */
	snprintf(url, sizeof url, "file://%s/in/deep/er/b.png", root);
	int fd = media_file_open(&f, url, 100, &size, "", &err);
	assert_true(fd >= 0);
	close(fd);
	media_folder_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_inside_are_opened),
	    cmocka_unit_test(nothing_else_is),
	    cmocka_unit_test(refusals_do_not_tell_what_exists),
	    cmocka_unit_test(the_walk_is_as_strict),
	    cmocka_unit_test(a_folder_must_be_one),
	};
	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
