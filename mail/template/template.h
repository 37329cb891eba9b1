/* mail/template/template.h - templates of mails: compiled once, rendered often.
 *
 *     struct template *t = NULL;
 *     struct template_fault fault = { 0 };
 *     template_compile(&(struct template_source){ .text = html, .part = TEMPLATE_HTML }, &limits, &t, &fault)
 *     template_render(&(struct template_job){ .body = t, .variables = tree }, &limits, arena, &out, &report, &fault)
 *     template_free(&t);
 * A compiled template never changes: any number of threads may render it at once. What is rendered depends on what is
 * handed in alone: no clock, no file (zones are asked of the caller), no network, no code of its author's. Work is
 * bounded in steps, depth and output, whatever the template and the variables are.
 *
 * The language is Handlebars; a dialect is a row of switches (template.c) for what others do differently:
 *     values       {{x}} escaped for its place (escape.h), {{{x}}} and {{&x}} as it is; a.b, a/b, a.[b c], a.0, ../x,
 *                  this, @root, @index, @key, @first, @last. Nothing where there is none
 *     blocks       if, unless, each, with, "as |name|", else, else if, {{#x}}, {{^x}}; a helper too: {{#eq a b}}
 *     helpers      {{name argument … key=value}}, (name …) within: template_helper.c is the table. Without arguments a
 *                  name is always a variable, so that one may be called "date" or "url"
 *     others       {{> partial context key=value}}, {{#> partial}} … {{> @partial-block}}, {{#*inline "x"}}, {{! }},
 *                  {{!-- --}}, {{~ ~}}, \{{, {{{{raw}}}} text {{{{/raw}}}}
 *     mustache     names are looked up through all scopes; {{= =}}, {{< }} {{$ }}, {{>* }}
 *     mustachio    {{#x}} enters x once, a list too; {{#each}} only lists; lists and objects print nothing
 *     sendgrid     equals notEquals greaterThan lessThan and or as blocks, insert, formatDate, length
 *     resend       {{{NAME}}} alone, escaped as {{x}} is elsewhere, for there is no other form
 * Faults of the template come when it is compiled, with line and column (both from 1, columns in bytes); while
 * rendering only bounds are passed, or a list is wanted where none is (mustachio). */
#ifndef MAIL_TEMPLATE_TEMPLATE_H
#define MAIL_TEMPLATE_TEMPLATE_H
#include "base/arena.h"
#include "mail/template/datum.h"

#define TEMPLATE_DIALECTS(X)                                                                                           \
    X(HANDLEBARS, "handlebars")                                                                                        \
    X(MUSTACHE, "mustache")                                                                                            \
    X(MUSTACHIO, "mustachio")                                                                                          \
    X(SENDGRID, "sendgrid")                                                                                            \
    X(RESEND, "resend")

enum template_dialect {
#define X(name, text) TEMPLATE_##name,
    TEMPLATE_DIALECTS(X)
#undef X
        TEMPLATE_DIALECT_COUNT
};

bool template_dialect_of(struct bytes text, enum template_dialect *out);
struct bytes template_dialect_text(enum template_dialect d);

/* What is made of it, which is how values are escaped. LINE: a subject, a header's value. */
enum template_part { TEMPLATE_HTML, TEMPLATE_TEXT, TEMPLATE_LINE };

struct template_limits {
    size_t source;  /* bytes of a template */
    size_t output;  /* bytes of what is rendered */
    unsigned steps; /* of one rendering: tags, turns of loops, and long texts that are worked on */
    size_t tags;    /* of a template */
    unsigned depth; /* blocks, partials and brackets within each other */
};

struct template_fault {
    unsigned line, column; /* 0: of the whole */
    char message[192];     /* of one line, for the author */
};

struct template;

struct template_source {
    struct bytes text; /* copied */
    enum template_dialect dialect;
    enum template_part part;
    bool layout;        /* {{{content}}} (mustachio: {{{@content}}}) stands for the body */
    struct bytes label; /* "partial footer": put before the messages of faults; may be NO_BYTES */
};

/* NULL in *out and a fault when the text is none. */
bool template_compile(const struct template_source *source, const struct template_limits *limits, struct template **out,
                      struct template_fault *fault);
void template_free(struct template **t);            /* *t may be NULL */
size_t template_weight(const struct template *t);   /* bytes that it holds */
bool template_takes_body(const struct template *t); /* a layout says where the body is to stand */
/* The partials that it names, and the first parts of all names that it looks up (whether or not they are variables of
 * the whole). `all`: it also looks at all variables at once, or names partials by variables. */
const struct bytes *template_partials(const struct template *t, size_t *n, bool *all);
/* Is the i-th of them one that need not be there (it is only named by blocks, which stand in for it)? */
bool template_partial_may_lack(const struct template *t, size_t i);
/* The partials that it defines itself, for what it uses. */
const struct bytes *template_inlines(const struct template *t, size_t *n);
const struct bytes *template_names(const struct template *t, size_t *n, bool *all);

struct template_partial {
    struct bytes name;
    const struct template *body;
};

/* TEMPLATE_ZONE_LATER: where it is asked now nobody may wait for it, and rendering fails. */
enum template_zone { TEMPLATE_ZONE_FOUND, TEMPLATE_ZONE_NONE, TEMPLATE_ZONE_LATER };

struct template_job {
    const struct template *body;
    const struct template *layout; /* may be NULL */
    const struct template_partial *partials;
    size_t n_partials;
    struct json_object *variables;    /* an object, as a rule; NULL is an empty one */
    const struct datum_member *fixed; /* names that stand before the variables */
    /* How many seconds a time zone is ahead of UTC at that moment; NULL: no zone has a name. */
    enum template_zone (*zone)(struct bytes name, int64_t wall, int *offset);
};

enum { TEMPLATE_MISSING_MAX = 50 };

/* What was noticed; texts lie in the arena. Kept over several renderings of one mail. */
struct template_report {
    struct bytes missing[TEMPLATE_MISSING_MAX]; /* names that were printed and are not there, each once */
    size_t n_missing;
    struct bytes
        unsafe[TEMPLATE_MISSING_MAX]; /* values that may not stand where they were put: javascript: in a link */
    size_t n_unsafe;
    struct bytes odd[TEMPLATE_MISSING_MAX]; /* what a helper could not read: a date, a number; printed as it is */
    size_t n_odd;
};

/* Appends to `out`, whose maximum should not be under limits->output. False with a fault. */
bool template_render(const struct template_job *job, const struct template_limits *limits, struct arena *a,
                     struct buf *out, struct template_report *report, struct template_fault *fault);
#endif
