/* mail/lookups.h - what the DNS said, as values: a book of questions with their answers, so that rules about records
 * are pure functions.
 *
 *     lookups_init(&l, arena);
 *     do                                              service/identity/domain_check.c
 *         for (; asked < l.n; asked++)
 *             ask(&l.list[asked]);
 *     while (judge(&l), asked < l.n);
 * Who judges looks answers up; a question that is not in the book yet is noted there, LOOKUP_PENDING, and asked before
 * the next round. Names compare without case. Not shared between threads. */
#ifndef MAIL_LOOKUPS_H
#define MAIL_LOOKUPS_H
#include "base/arena.h"
#include "base/err.h"

enum lookup_type { LOOKUP_A, LOOKUP_AAAA, LOOKUP_MX, LOOKUP_TXT, LOOKUP_CNAME, LOOKUP_PTR };
enum lookup_result {
    LOOKUP_PENDING, /* not asked yet */
    LOOKUP_FOUND,
    LOOKUP_NONE,  /* no such name, or no such record of it */
    LOOKUP_FAILED /* nobody knows: `why` */
};

/* Questions of one judgement; more are answered LOOKUP_FAILED. All that a stranger's mail can ask has room, or he could
 * choose what is not known in the end: 123 of SPF, 51 of ARC, 100 signatures, 9 of DMARC. */
#define LOOKUPS_MAX       300
#define LOOKUP_VALUES     50    /* records of one answer that are looked at */
#define LOOKUP_ANSWER_MAX 16384 /* bytes of one answer; the value that passes it is the last */
#define LOOKUP_NAME_MAX   253
#define LOOKUP_VALUE_MAX  4096
#define LOOKUPS_TEXT_MAX  65536 /* of lookups_write; what comes after is left out and asked again */
#define LOOKUP_TYPES_TEXT "A", "AAAA", "MX", "TXT", "CNAME", "PTR"

struct lookup {
    struct bytes name; /* without the last dot */
    enum lookup_type type;
    enum lookup_result result;
    bool no_name; /* LOOKUP_NONE: there is no such name (NXDOMAIN), nor one below it; not kept by lookups_write */
    struct bytes target; /* the end of a chain of CNAMEs, where that is another name */
    struct bytes
        *values; /* TXT: its strings joined; A, AAAA: as text; MX: "10 mail.example.org", "0 " for null; PTR: a name */
    size_t n;
    struct bytes why; /* LOOKUP_FAILED: for people */
};

struct lookups {
    struct arena *arena;
    struct lookup *list;
    size_t n;
};

void lookups_init(struct lookups *l, struct arena *a);
/* Never NULL; good until the book ends. */
const struct lookup *lookups_find(struct lookups *l, struct bytes name, enum lookup_type type);
/* Preference and host of a value of MX; the host of a null MX is empty. False for what is none. */
bool lookup_mx(struct bytes value, unsigned *preference, struct bytes *host);
const char *lookup_type_name(enum lookup_type type);

/* The book as JSON, and back; what is not answered, or would not fit, is left out. */
struct bytes lookups_write(const struct lookups *l, struct arena *a);
bool lookups_read(struct lookups *l, struct bytes json, struct err *e);
#endif
