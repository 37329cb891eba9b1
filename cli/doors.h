/* cli/doors.h - every door of a server: opened (bound) all before any serves. */
#ifndef CLI_DOORS_H
#define CLI_DOORS_H
#include "api/api.h"
#include "cli/datadir.h"
#include "net/listener.h"
#include "pop3/pop3.h"
#include "smtp/smtp.h"

#define LISTENERS_MAX 32

struct doors {
    struct api *api;
    char api_host[64]; /* of its first address */
    struct tls_server *tls;
    struct smtp_door receive, submission, submissions;
    struct pop3_door pop3, pop3s;
    struct listener *listeners[LISTENERS_MAX];
    const char *names[LISTENERS_MAX]; /* of the ready file: "smtp", "pop3s" */
    char hosts[LISTENERS_MAX][64];
    size_t n;
};

/* ERR_IN_USE names the port and its holder; ERR_INVALID a bad address or certificate. */
bool doors_open(struct doors *d, struct service *svc, const struct datadir *dir, struct err *e);
bool doors_serve(struct doors *d, struct err *e);
bool doors_reload(struct doors *d, struct err *e); /* certificates */
void doors_stop(struct doors *d);
void doors_close(struct doors *d);
/* {"api": "http://…", "smtp": "host:port", …, "admin_key"}: the first address of each door; admin_key may be NO_BYTES,
 * "api" is null when api.listen is off. */
void doors_describe(const struct doors *d, struct bytes admin_key, struct buf *out);
#endif
