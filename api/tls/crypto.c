/* crypto.c - all of lib/tls-crypto.so: a SONAME, and the libcrypto that it is linked with (see tls.h). */
typedef int nothing_of_its_own;
