/* service/core/public_url.h - where anybody finds what we serve without a key: links in mails, and whose they are.
 *
 * Links are made from server.public_url, and those of mails from tracking.host where it is set, never from the Host of
 * a request: whoever asks would choose where our mails lead. Outside live mode, where no stranger gets mail, the
 * address of the API's own door will do. */
#ifndef SERVICE_PUBLIC_URL_H
#define SERVICE_PUBLIC_URL_H
#include "service/core/call.h"

/* "https://host" or "http://host", with a port where there is one, and nothing behind it but a "/". ERR_INVALID says
 * what else it is. Pure. */
bool public_url_check(struct bytes url, struct err *e);
/* server.public_url without the last "/"; NO_BYTES: it is not set, or not of that form. */
struct bytes public_url(void);
/* What links in mails begin with, "https://links.example.org". In live mode without server.public_url
 * ERR_NO_PUBLIC_URL.
 */
bool public_url_of_links(struct call *c, struct bytes *out);
/* Is this the Host of tracking.host, on which there is nothing but what is public? */
bool public_url_is_host(struct bytes host);
/* The API's own door, "http://127.0.0.1:8025". Before anything is served. */
void public_url_own(struct service *svc, const char *url);
#endif
