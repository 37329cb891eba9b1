/* net/sessions.h - inside net/: how many connections are open, in all and from each network. Any thread. */
#ifndef NET_SESSIONS_H
#define NET_SESSIONS_H
#include "net/stream.h"

/* Counts one more, or says why not (a static text). End it with session_ended. */
const char *session_admit(const struct peer *p);
void session_ended(const char *net_text);
#endif
