/* mail/template/datum.h - a value of the variables, as a template sees it: a small view of JSON that is somebody
 * else's, or something that was computed while rendering. Copied freely, owns nothing, changes nothing: several
 * renderings may read the same tree at once. Truth and text are JavaScript's, since that is what Handlebars is measured
 * by. */
#ifndef MAIL_TEMPLATE_DATUM_H
#define MAIL_TEMPLATE_DATUM_H
#include "base/bytes.h"
#include <json-c/json_object.h>

enum datum_kind { DATUM_MISSING, DATUM_NULL, DATUM_BOOL, DATUM_NUMBER, DATUM_TEXT, DATUM_LIST, DATUM_OBJECT };

struct datum {
    enum datum_kind kind;
    bool flag;  /* of BOOL */
    bool whole; /* of NUMBER: `integer` is it exactly */
    int64_t integer;
    double number;
    struct bytes text;
    struct json_object *tree;        /* of LIST and OBJECT */
    const struct datum_member *over; /* of OBJECT: members that stand before those of the tree; `tree` may be NULL */
};

struct datum_member {
    struct bytes name;
    struct datum value;
    const struct datum_member *next;
    unsigned length; /* members from this one on: what looking for one costs */
};

struct datum datum_of(struct json_object *o);
struct datum datum_text(struct bytes text);
struct datum datum_int(int64_t n);
struct datum datum_number(double n);
struct datum datum_bool(bool b);

/* A member of an object, an element of a list ("0"), "length" of a list or a text. `name` has a NUL behind it. False
 * when there is none; a member that is null is there. */
bool datum_member(const struct datum *in, struct bytes name, struct datum *out);
/* Elements of a list, members of an object, characters of a text; 0 of others. */
size_t datum_count(const struct datum *d);
/* Values in it, at any depth; once there are more than `most`, some number above. */
size_t datum_values(const struct datum *d, size_t most);
struct datum datum_at(const struct datum *list, size_t i); /* i is less than datum_count */
/* The next member of an object: start with *at all zero. False at the end. */
struct datum_walk {
    struct json_object *tree;
    void *entry; /* of json-c's table */
    const struct datum_member *over;
    bool begun, in_over;
};
bool datum_next(const struct datum *object, struct datum_walk *at, struct bytes *name, struct datum *value);

bool datum_is_nothing(const struct datum *d);                      /* missing or null */
bool datum_is_true(const struct datum *d);                         /* not missing, null, false, 0, "" or [] */
bool datum_is_same(const struct datum *a, const struct datum *b);  /* ===, lists and objects by identity */
bool datum_is_equal(const struct datum *a, const struct datum *b); /* ==: a text that is a number equals it */
bool datum_to_number(const struct datum *d, double *out);          /* false where JavaScript says NaN */
/* As String() says it; nothing for missing and null. */
void datum_print(const struct datum *d, struct buf *out);
/* As JSON; what could end a script or a comment (<, >, &) is written \u003c and so on. */
void datum_print_json(const struct datum *d, struct buf *out);
void datum_print_escape(char c, struct buf *out); /* \u00XX */
#endif
