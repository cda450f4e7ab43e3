/* The HTTP client's promises about where it goes: the list, the one parser, and the address that is dialled (check 24).
 * A listener on loopback counts who came; names are answered by a resolver of the test's own. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "fetch.h"

/* ---- the canary ---- */

static int listener;
static unsigned port;
static atomic_uint hits;
static pthread_t thread;

static void *listen_run(void *ctx)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\npicture";
	char request[4096];
	(void)ctx;
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
		atomic_fetch_add(&hits, 1);
		if (read(fd, request, sizeof request) > 0 && write(fd, answer, sizeof answer - 1) < 0)
			break;
	}
	return NULL;
}

static int open_canary(void **state)
{
	(void)state;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&a, n) != 0 || listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&a, &n) != 0)
		return -1;
	port = ntohs(a.sin_port);
	return pthread_create(&thread, NULL, listen_run, NULL);
}

static int close_canary(void **state)
{
	(void)state;
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	return 0;
}

static const fetch_table *table(void) { return fetch_table_1(); }

/* One GET. %u in domains, hosts and url is the canary's port. */
static fetch_rc get(const char *domains, const char *hosts, const char *url)
{
	char list[256], answer[256], asked[512];
	snprintf(list, sizeof list, domains, port);
	snprintf(answer, sizeof answer, hosts ? hosts : "", port);
	snprintf(asked, sizeof asked, url, port);
	const char *const answers[] = {answer, NULL};
	const fetch_config config = {sizeof config, list, hosts ? answers : NULL};
	const fetch_order order = {.url = asked, .max_bytes = 1000, .timeout_ms = 3000};
	fetcher *f;
	fetch_body body = {0};
	assert_int_equal(table()->open(&f, &config), FETCH_OK);
	fetch_rc rc = table()->get(f, &order, &body);
	assert_true((rc == FETCH_OK) == (body.data != NULL));
	if (rc == FETCH_OK) {
		assert_int_equal(body.size, 7);
		assert_memory_equal(body.data, "picture", 7);
	}
	free(body.data);
	table()->close(&f);
	assert_null(f);
	return rc;
}

/* ---- addresses ---- */

static bool is_public(const char *text)
{
	struct sockaddr_storage a = {0};
	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr) == 1)
		a.ss_family = AF_INET;
	else {
		assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr), 1);
		a.ss_family = AF_INET6;
	}
	return address_is_public((struct sockaddr *)&a);
}

static void only_global_addresses_are_public(void **state)
{
	(void)state;
	static const char *const PRIVATE[] = {
	    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
	    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
	    "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1",
	    "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1",
	    "ff02::1", "4000::1"};
	static const char *const PUBLIC[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
	                                     "128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255",
	                                     "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:200::1", "2600::1", "2a00:1450::1", "3ffe::1"};
	for (size_t i = 0; i < sizeof PRIVATE / sizeof *PRIVATE; i++)
		if (is_public(PRIVATE[i]))
			fail_msg("%s", PRIVATE[i]);
	for (size_t i = 0; i < sizeof PUBLIC / sizeof *PUBLIC; i++)
		if (!is_public(PUBLIC[i]))
			fail_msg("%s", PUBLIC[i]);
	struct sockaddr other = {.sa_family = AF_UNIX};
	assert_false(address_is_public(&other));
}

/* ---- the list and the URLs ---- */

static void a_list_is_read_strictly(void **state)
{
	(void)state;
	static const struct {
		const char *domains;
		fetch_rc want;
	} CASES[] = {
	    {"a.example", FETCH_OK}, {"a.example,b.example:8080,192.0.2.1:80,[2001:db8::1]:443", FETCH_OK}, {"A.Example", FETCH_OK},
	    {"", FETCH_BAD_URL}, {",", FETCH_BAD_URL}, {"a.example,", FETCH_BAD_URL}, {"a.example, b.example", FETCH_BAD_URL},
	    {"http://a.example", FETCH_BAD_URL}, {"a.example/path", FETCH_BAD_URL}, {"*.example", FETCH_BAD_URL}, {"u@a.example", FETCH_BAD_URL},
	    {"a.example:0", FETCH_BAD_URL}, {"a.example:65536", FETCH_BAD_URL}, {"a.example:x", FETCH_BAD_URL}, {"a.example?x", FETCH_BAD_URL},
	    {"b\xC3\xBC" "cher.example", FETCH_BAD_URL}, {"[::1", FETCH_BAD_URL}, {"a.example\\", FETCH_BAD_URL}, {"[fe80::1%25eth0]", FETCH_BAD_URL}};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		const fetch_config config = {sizeof config, CASES[i].domains, NULL};
		fetcher *f;
		if (table()->open(&f, &config) != CASES[i].want)
			fail_msg("%s", CASES[i].domains);
		table()->close(&f);
	}
}

static void urls_outside_the_list_go_nowhere(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		fetch_rc want;
	} CASES[] = {
	    {"http://127.0.0.1:%u/", FETCH_NOT_LISTED}, {"http://127.0.0.2:%u/", FETCH_NOT_LISTED}, {"http://[::1]:%u/", FETCH_NOT_LISTED},
	    {"http://localhost:%u/", FETCH_NOT_LISTED}, {"http://0.0.0.0:%u/", FETCH_NOT_LISTED}, {"http://0:%u/", FETCH_NOT_LISTED},
	    {"http://[::ffff:127.0.0.1]:%u/", FETCH_NOT_LISTED}, {"http://2130706433:%u/", FETCH_NOT_LISTED},
	    {"http://0x7f000001:%u/", FETCH_NOT_LISTED}, {"http://0x7f.1:%u/", FETCH_NOT_LISTED}, {"http://017700000001:%u/", FETCH_NOT_LISTED},
	    {"http://127.1:%u/", FETCH_NOT_LISTED}, {"http://127.0.0.1.:%u/", FETCH_NOT_LISTED}, {"http://169.254.169.254/", FETCH_NOT_LISTED},
	    {"http://a.example.:80/", FETCH_NOT_LISTED}, {"http://a.example:%u/", FETCH_NOT_LISTED}, {"http://a.example:8443/", FETCH_NOT_LISTED},
	    {"http://b.a.example/", FETCH_NOT_LISTED}, {"http://xa.example/", FETCH_NOT_LISTED}, {"http://a.example.evil.test/", FETCH_NOT_LISTED},
	    {"http://a.example@127.0.0.1:%u/", FETCH_BAD_URL}, {"http://u:p@a.example/", FETCH_BAD_URL}, {"http://@a.example/", FETCH_BAD_URL},
	    {"http://127.0.0.1:%u\\@a.example/", FETCH_BAD_URL}, {"http://a.example\\@127.0.0.1:%u/", FETCH_BAD_URL},
	    {"http://127.0.0.1:%u#@a.example/", FETCH_NOT_LISTED}, {"http://127.0.0.1:%u?@a.example/", FETCH_NOT_LISTED},
	    {"http://a.example /", FETCH_BAD_URL}, {"http://a.example\t/", FETCH_BAD_URL}, {"http://a.example\r\nHost: x/", FETCH_BAD_URL},
	    {"http:///", FETCH_BAD_URL}, {"http:a.example", FETCH_BAD_URL}, {"http:/a.example", FETCH_BAD_URL}, {"http://", FETCH_BAD_URL},
	    {"http://a.example:99999/", FETCH_BAD_URL}, {"http://[a.example]/", FETCH_BAD_URL}, {"http://[::1%%25lo]:%u/", FETCH_BAD_URL},
	    {"ftp://a.example/", FETCH_BAD_URL}, {"file:///etc/passwd", FETCH_BAD_URL}, {"gopher://a.example/", FETCH_BAD_URL},
	    {"dict://a.example/", FETCH_BAD_URL}, {"//a.example/", FETCH_BAD_URL}, {"a.example", FETCH_BAD_URL},
	    {"http://b\xC3\xBC" "cher.example/", FETCH_BAD_URL}};
	unsigned before = atomic_load(&hits);
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		fetch_rc rc = get("a.example,c.example:81", "a.example:1:127.0.0.1", CASES[i].url);
		if (rc != CASES[i].want && !(rc == FETCH_BAD_URL && CASES[i].want == FETCH_NOT_LISTED))
			fail_msg("%s: %d", CASES[i].url, rc);
	}
	assert_int_equal(atomic_load(&hits), before);
}

/* Names on the list whose answers lead inside, also behind another answer: nothing is dialled. The resolver is asked once, and what it
 * said is judged when the socket is made, so there is no later answer to fall for. */
static void a_name_that_leads_inside_is_not_dialled(void **state)
{
	(void)state;
	static const char *const ANSWERS[] = {
	    "a.example:%u:127.0.0.1", "a.example:%u:10.1.2.3", "a.example:%u:169.254.169.254", "a.example:%u:100.64.0.1", "a.example:%u:0.0.0.0",
	    "a.example:%u:[::1]", "a.example:%u:[::ffff:127.0.0.1]", "a.example:%u:[fd00::1]", "a.example:%u:[fe80::1]",
	    "a.example:%u:10.1.2.3,127.0.0.1", "a.example:%u:127.0.0.1,[::1]"};
	unsigned before = atomic_load(&hits);
	for (size_t i = 0; i < sizeof ANSWERS / sizeof *ANSWERS; i++)
		for (int tls = 0; tls < 2; tls++) {
			fetch_rc rc = get("a.example:%u", ANSWERS[i], tls ? "https://a.example:%u/" : "http://a.example:%u/");
			if (rc != FETCH_PRIVATE)
				fail_msg("%s: %d", ANSWERS[i], rc);
		}
	/* not even if the operator lists the address for itself */
	assert_int_equal(get("a.example:%1$u,127.0.0.1:%1$u", "a.example:%u:127.0.0.1", "http://a.example:%u/"), FETCH_PRIVATE);
	assert_int_equal(get("localhost:%u", NULL, "http://localhost:%u/"), FETCH_PRIVATE);
	assert_int_equal(atomic_load(&hits), before);
}

/* The tests above could fail: the listener is there and a listed address is dialled, however the URL spells it. */
static void a_listed_address_is_dialled(void **state)
{
	(void)state;
	static const char *const SAME[] = {"http://127.0.0.1:%u/x.png", "HTTP://127.0.0.1:%u", "http://2130706433:%u/", "http://0x7f.1:%u/?q#f"};
	for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
		unsigned before = atomic_load(&hits);
		fetch_rc rc = get("127.0.0.1:%u", NULL, SAME[i]);
		if (rc != FETCH_OK)
			fail_msg("%s: %d", SAME[i], rc);
		assert_int_equal(atomic_load(&hits), before + 1);
	}
	assert_int_equal(get("127.0.0.1", NULL, "http://127.0.0.1:%u/"), FETCH_NOT_LISTED); /* listed without the port */
	assert_int_equal(get("127.0.0.1:%u", NULL, "http://127.0.0.2:%u/"), FETCH_NOT_LISTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_global_addresses_are_public),
	    cmocka_unit_test(a_list_is_read_strictly),
	    cmocka_unit_test(urls_outside_the_list_go_nowhere),
	    cmocka_unit_test(a_name_that_leads_inside_is_not_dialled),
	    cmocka_unit_test(a_listed_address_is_dialled),
	};
	return cmocka_run_group_tests(tests, open_canary, close_canary);
}
