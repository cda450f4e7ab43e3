/* machine.h on made-up machines: what /proc/meminfo and control groups of both versions say. */
#include "scratch.h"

#include "base/machine.h"

static void folders(const char *path)
{
	char at[256];
	for (size_t i = 1; path[i]; i++)
		if (path[i] == '/') {
			snprintf(at, sizeof at, "%.*s", (int)i, path);
			mkdir(scratch_path(at), 0700);
		}
}

static void file(const char *path, const char *text)
{
	folders(path);
	scratch_write(path, text, strlen(text));
}

static void fresh(const char *cgroup)
{
	nftw(scratch_path("m"), scratch_remove, 32, FTW_DEPTH | FTW_PHYS);
	file("m/proc/meminfo", "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    9000 kB\n");
	file("m/proc/self/cgroup", cgroup);
}

static void says(size_t total, size_t available)
{
	machine_memory m = machine_memory_read(scratch_path("m"));
	assert_int_equal(m.total, total);
	assert_int_equal(m.available, available);
}

static void without_groups_it_is_the_machines(void **state)
{
	(void)state;
	fresh("");
	says(16000 * 1024, 9000 * 1024);
	fresh("0::/\n");
	file("m/sys/fs/cgroup/memory.max", "max\n");
	says(16000 * 1024, 9000 * 1024);
	file("m/proc/meminfo", "");
	says(SIZE_MAX, SIZE_MAX);
	assert_int_equal(machine_memory_read("/nonexistent").total, SIZE_MAX);
	assert_int_equal(machine_memory_read(scratch_path("m")).own, 0);
	file("m/proc/self/status", "VmRSS:\t 900 kB\nRssAnon:\t   70 kB\n");
	assert_int_equal(machine_memory_read(scratch_path("m")).own, 70 * 1024);
	assert_true(machine_memory_read("").total < SIZE_MAX && machine_memory_read("").available <= machine_memory_read("").total);
}

static void the_tightest_group_counts(void **state)
{
	(void)state;
	fresh("0::/a/b\n");
	file("m/sys/fs/cgroup/a/b/memory.max", "max\n");
	file("m/sys/fs/cgroup/a/memory.max", "4096000\n");
	file("m/sys/fs/cgroup/a/memory.current", "3000000\n");
	file("m/sys/fs/cgroup/a/memory.stat", "anon 1000000\ninactive_file 2000000\n");
	says(4096000, 3096000); /* pages of files that nobody uses can go */
	file("m/sys/fs/cgroup/memory.max", "2048000\n");
	file("m/sys/fs/cgroup/memory.current", "3000000\n");
	says(2048000, 0);
}

static void version_1_too(void **state)
{
	(void)state;
	fresh("12:cpu:/x\n9:memory:/docker/1\n0::/\n");
	file("m/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192000\n"); /* the container sees its own group as the root */
	file("m/sys/fs/cgroup/memory/memory.usage_in_bytes", "192000\n");
	file("m/sys/fs/cgroup/memory/memory.stat", "total_inactive_file 92000\n");
	says(8192000, 8092000);
	file("m/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	says(16000 * 1024, 9000 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_groups_it_is_the_machines),
	    cmocka_unit_test(the_tightest_group_counts),
	    cmocka_unit_test(version_1_too),
	};
	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
