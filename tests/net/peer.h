/* tests/net/peer.h - certificates to be good or bad by, and servers of other make to meet: OpenSSL's own, Python's. */
#ifndef TESTS_NET_PEER_H
#define TESTS_NET_PEER_H
#include <openssl/types.h>
#include <stdint.h>
#include <sys/types.h>

/* A folder for what a test makes; peer_folder_remove takes it away with everything in it. */
void peer_folder_make(char folder[64]);
void peer_folder_remove(const char *folder);

struct cert_wish {
    const char *file;   /* gets the certificate and its key, PEM */
    const char *cn;     /* its common name */
    const char *san;    /* "DNS:a.test,IP:127.0.0.1"; NULL: none */
    const char *issuer; /* file of the signer; NULL: itself */
    int from, to;       /* days from now; both 0: -1 to 30 */
    int rsa_bits;       /* 0: an EC key */
    int is_ca;
};
void cert_make(const struct cert_wish *w);

/* A program that says on standard output which port it has: text in front of it. Ended by peer_end. */
struct peer_program {
    pid_t pid;
    int out;
    uint16_t port;
};
void peer_start(struct peer_program *p, const char *before_port, const char *const argv[]);
void peer_end(struct peer_program *p);
#endif
