/* port.h - whether a port is free. Asked before the HTTP server starts, whose library tells it only in words. */
#ifndef API_PORT_H
#define API_PORT_H

#include "core.h"

/* address: numeric; port 0: any. SN_ERR_INVALID: the address; SN_ERR_QUEUE_FULL: the port is taken; else SN_ERR_IO. */
int port_probe(const char *address, unsigned port, sn_error *err);

#endif
