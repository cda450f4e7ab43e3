#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"

int port_probe(const char *address, unsigned port, sn_error *err)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	bool is6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
	if (!is6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1)
		return fault_set(err, SN_ERR_INVALID, "host", "not a numeric address");
	int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	if (fd < 0)
		return fault_set(err, SN_ERR_IO, NULL, "no socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	int rc = is6 ? bind(fd, (struct sockaddr *)&v6, sizeof v6) : bind(fd, (struct sockaddr *)&v4, sizeof v4);
	int why = errno;
	if (rc == 0 && listen(fd, 1) != 0) {
		rc = -1;
		why = errno;
	}
	close(fd);
	if (rc == 0)
		return SN_OK;
	return fault_set(err, why == EADDRINUSE ? SN_ERR_QUEUE_FULL : SN_ERR_IO, "port", "cannot listen on %s port %u: %s", address, port,
	                 strerror(why));
}
