/* service/queue/own_rules.h - rules of the operator's own about the world's mail servers (mail/rules.h): the file that
 * delivery.rules_file names, before the shipped ones. Each node reads its own, at its start, when the parameter changes
 * and when it is told to read anew (SIGHUP). A file with a fault changes nothing: what was known before goes on.
 *
 *     struct rule_set *r = rules_take(svc)
 *     rules_provider(r->rules, host)          what comes of it lives as long as r is held
 *     rules_leave(&r)
 * Any thread. */
#ifndef SERVICE_OWN_RULES_H
#define SERVICE_OWN_RULES_H
#include "mail/rules.h"
#include "service/core/call.h"

struct rule_set {
    const struct rules *rules;
    /* Of the holder: */
    struct rules *read; /* NULL: the shipped ones */
    struct own_rules *of;
    size_t users;
};

struct own_rules;
struct own_rules *own_rules_new(void); /* the shipped ones */
void own_rules_free(struct own_rules **o);

/* Reads the file anew, or forgets one that is no longer named. The error says FILE:LINE and what is wrong. */
bool own_rules_load(struct service *svc, struct err *e);
void own_rules_follow(struct service *svc); /* from now on, when the parameter changes; what is wrong is logged */

struct rule_set *rules_take(struct service *svc);
void rules_leave(struct rule_set **r);       /* *r may be NULL */
uint64_t rules_version(struct service *svc); /* another one: they have changed */

/* A file alone, for a check: ERR_MISSING, or as own_rules_load. */
bool rules_file_read(struct bytes path, struct rules **out, struct err *e);
#endif
