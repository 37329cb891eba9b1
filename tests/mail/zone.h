/* tests/mail/zone.h - a small DNS for tests of mail/lookups.h: "name TYPE value" a row; a row "name TYPE !" does not
 * answer, and what is not there is none. */
#ifndef TESTS_MAIL_ZONE_H
#define TESTS_MAIL_ZONE_H
#include "mail/lookups.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ZONE_ROWS 40

/* One row's three parts. */
static inline void zone_row(const char *row, struct bytes *name, struct bytes *type, struct bytes *value)
{
    struct bytes rest = bytes_of(row);

    assert_true(bytes_cut(rest, ' ', name, &rest));
    bytes_cut(rest, ' ', type, value);
    if (!value->p)
        *value = BYTES("");
}

static inline void zone_answer(const char *const *rows, struct arena *a, struct lookup *q)
{
    struct bytes name, type, value, alias = NO_BYTES;

    q->result = LOOKUP_NONE;
    q->values = arena_array(a, ZONE_ROWS, sizeof *q->values);
    q->n = 0;
    for (size_t i = 0; i < ZONE_ROWS && rows[i]; i++) {
        zone_row(rows[i], &name, &type, &value);
        if (!bytes_equal_nocase(name, q->target.p ? q->target : q->name))
            continue;
        if (bytes_equal(type, BYTES("CNAME")) && q->type != LOOKUP_CNAME)
            alias = value;
        if (!bytes_equal(type, bytes_of(lookup_type_name(q->type))))
            continue;
        q->result = bytes_equal(value, BYTES("!")) ? LOOKUP_FAILED : LOOKUP_FOUND;
        q->why = BYTES("no answer in time");
        if (q->result == LOOKUP_FOUND)
            q->values[q->n++] = value;
    }
    if (alias.p) {
        q->target = alias;
        zone_answer(rows, a, q);
    }
}

/* Rounds of `judge` until nothing new is asked. */
static inline void zone_rounds(const char *const *rows, struct lookups *l, struct arena *a, void (*judge)(void *),
                               void *arg)
{
    size_t asked = 0;

    for (int i = 0; i < 30; i++) {
        judge(arg);
        if (asked == l->n)
            return;
        for (; asked < l->n; asked++)
            zone_answer(rows, a, &l->list[asked]);
    }
    fail_msg("it asks on and on");
}
#endif
