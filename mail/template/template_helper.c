/* mail/template/template_helper.c - the helpers, a row each, and how they are called.
 *
 * A helper gets values and gives one; it has no text of the template, no file and no clock. What it cannot make sense
 * of (a date that is none) is printed as it came and noted: a mail is not lost for a format. Comparing is JavaScript's
 * === in Handlebars' eq and ne, and its == in SendGrid's equals. */
#include "base/unicode.h"
#include "mail/chars.h"
#include "mail/template/escape.h"
#include "mail/template/template_private.h"

enum { MANY = 32 };

bool helper_named(struct helping *h, const char *name, struct datum *out)
{
    for (const struct named *n = h->call->named; n; n = n->next)
        if (bytes_equal(n->name, bytes_of(name)))
            return render_evaluate(h->r, n->value, out) && out->kind != DATUM_MISSING;
    return false;
}

struct bytes helper_print(struct helping *h, const struct datum *d)
{
    struct bytes text;
    struct buf out;

    if (d->kind == DATUM_TEXT)
        return d->text;
    if (!render_charge_print(h->r, d, h->call->at))
        return BYTES("");
    buf_init(&out, h->r->limits->output);
    datum_print(d, &out);
    text = arena_copy(h->r->arena, out.n ? buf_bytes(&out) : BYTES(""));
    buf_clear(&out);
    return text;
}

void helper_text(struct helping *h, const struct buf *made, struct datum *out)
{
    *out = datum_text(arena_copy(h->r->arena, made->n ? buf_bytes(made) : BYTES("")));
}

void helper_odd(struct helping *h, struct datum *out)
{
    *out = h->args[0];
    if (!datum_is_nothing(out))
        render_note(h->r, h->r->report->odd, &h->r->report->n_odd, h->call->text);
}

static void help_eq(struct helping *h, struct datum *out)
{
    *out = datum_bool(datum_is_same(&h->args[0], &h->args[1]));
}

static void help_ne(struct helping *h, struct datum *out)
{
    *out = datum_bool(!datum_is_same(&h->args[0], &h->args[1]));
}

static void help_equals(struct helping *h, struct datum *out)
{
    *out = datum_bool(datum_is_equal(&h->args[0], &h->args[1]));
}

static void help_not_equals(struct helping *h, struct datum *out)
{
    *out = datum_bool(!datum_is_equal(&h->args[0], &h->args[1]));
}

/* -1, 0, 1 as < and > of JavaScript see them; 2 when they cannot be compared. */
static int compare(const struct datum *a, const struct datum *b)
{
    double x = 0, y = 0;
    int order;

    if (a->kind == DATUM_TEXT && b->kind == DATUM_TEXT) {
        order = bytes_compare(a->text, b->text);
        return order < 0 ? -1 : order > 0;
    }
    if (!datum_to_number(a, &x) || !datum_to_number(b, &y))
        return 2;
    return x < y ? -1 : x > y;
}

/* SendGrid's: texts that are numbers are compared as such. */
static int compare_coerced(const struct datum *a, const struct datum *b)
{
    double x = 0, y = 0;

    if (!datum_to_number(a, &x) || !datum_to_number(b, &y))
        return compare(a, b);
    return x < y ? -1 : x > y;
}

static void help_less_than(struct helping *h, struct datum *out)
{
    *out = datum_bool(compare_coerced(&h->args[0], &h->args[1]) == -1);
}

static void help_greater_than(struct helping *h, struct datum *out)
{
    *out = datum_bool(compare_coerced(&h->args[0], &h->args[1]) == 1);
}

static void help_lt(struct helping *h, struct datum *out)
{
    *out = datum_bool(compare(&h->args[0], &h->args[1]) == -1);
}

static void help_gt(struct helping *h, struct datum *out)
{
    *out = datum_bool(compare(&h->args[0], &h->args[1]) == 1);
}

static void help_le(struct helping *h, struct datum *out)
{
    *out = datum_bool(compare(&h->args[0], &h->args[1]) <= 0);
}

static void help_ge(struct helping *h, struct datum *out)
{
    int order = compare(&h->args[0], &h->args[1]);

    *out = datum_bool(order == 0 || order == 1);
}

/* As && and ||: the argument that decides. */
static void help_and(struct helping *h, struct datum *out)
{
    for (size_t i = 0; i < h->n; i++) {
        *out = h->args[i];
        if (!datum_is_true(out))
            return;
    }
}

static void help_or(struct helping *h, struct datum *out)
{
    for (size_t i = 0; i < h->n; i++) {
        *out = h->args[i];
        if (datum_is_true(out))
            return;
    }
}

static void help_not(struct helping *h, struct datum *out)
{
    *out = datum_bool(!datum_is_true(&h->args[0]));
}

/* The first that is there and not empty. */
static void help_default(struct helping *h, struct datum *out)
{
    for (size_t i = 0; i < h->n; i++) {
        *out = h->args[i];
        if (!datum_is_nothing(out) && !(out->kind == DATUM_TEXT && out->text.n == 0))
            return;
    }
}

static void help_upper(struct helping *h, struct datum *out)
{
    *out = datum_text(unicode_upper(helper_print(h, &h->args[0]), h->r->arena));
}

static void help_lower(struct helping *h, struct datum *out)
{
    *out = datum_text(unicode_lower(helper_print(h, &h->args[0]), h->r->arena));
}

static void help_json(struct helping *h, struct datum *out)
{
    struct buf made;

    if (!render_charge_print(h->r, &h->args[0], h->call->at))
        return;
    buf_init(&made, h->r->limits->output);
    datum_print_json(&h->args[0], &made);
    helper_text(h, &made, out);
    buf_clear(&made);
}

static void help_url(struct helping *h, struct datum *out)
{
    struct buf made;

    buf_init(&made, h->r->limits->output);
    escape_url(helper_print(h, &h->args[0]), &made);
    helper_text(h, &made, out);
    buf_clear(&made);
}

static void help_length(struct helping *h, struct datum *out)
{
    *out = datum_int((int64_t)datum_count(&h->args[0]));
}

static void help_join(struct helping *h, struct datum *out)
{
    struct bytes between = h->n > 1 ? helper_print(h, &h->args[1]) : BYTES(", ");
    const struct datum *list = &h->args[0];
    struct buf made;

    if (list->kind != DATUM_LIST) {
        *out = *list;
        return;
    }
    if (!render_charge_print(h->r, list, h->call->at))
        return;
    buf_init(&made, h->r->limits->output);
    for (size_t i = 0; i < datum_count(list) && !made.overflowed; i++) {
        struct datum element = datum_at(list, i);

        if (i)
            buf_add(&made, between);
        datum_print(&element, &made);
    }
    helper_text(h, &made, out);
    buf_clear(&made);
}

static size_t last_character(struct bytes text)
{
    size_t n = text.n;

    while (n && ((unsigned char)text.p[n - 1] & 0xC0) == 0x80)
        n--;
    return n ? n - 1 : 0;
}

static void help_first(struct helping *h, struct datum *out)
{
    const struct datum *d = &h->args[0];

    if (d->kind == DATUM_LIST && datum_count(d))
        *out = datum_at(d, 0);
    else if (d->kind == DATUM_TEXT && d->text.n)
        *out = datum_text(bytes_head(d->text, bytes_utf8_length(d->text)));
}

static void help_last(struct helping *h, struct datum *out)
{
    const struct datum *d = &h->args[0];

    if (d->kind == DATUM_LIST && datum_count(d))
        *out = datum_at(d, datum_count(d) - 1);
    else if (d->kind == DATUM_TEXT && d->text.n)
        *out = datum_text(bytes_from(d->text, last_character(d->text)));
}

/* pluralize n "item" "items": the word alone; without a third argument with an s. */
static void help_pluralize(struct helping *h, struct datum *out)
{
    double n = 0;
    bool one = datum_to_number(&h->args[0], &n) && n == 1;

    if (h->args[0].kind == DATUM_LIST)
        one = datum_count(&h->args[0]) == 1;
    *out = one || h->n < 3 ? h->args[1] : h->args[2];
    if (!one && h->n < 3)
        *out = datum_text(arena_bytesf(h->r->arena, "%.*ss", SHOW(helper_print(h, &h->args[1]))));
}

/* Of a text what fits `n` characters, with the sign for what was cut among them. */
static void help_truncate(struct helping *h, struct datum *out)
{
    struct datum text = datum_text(helper_print(h, &h->args[0]));
    struct datum sign = datum_text(h->n > 2 ? helper_print(h, &h->args[2]) : BYTES("…"));
    double most = 0;
    size_t n = 0, keep, cut;

    *out = text;
    if (!datum_to_number(&h->args[1], &most) || most < 0 || most >= (double)datum_count(&text))
        return;
    if ((size_t)most < datum_count(&sign))
        sign = datum_text(BYTES(""));
    keep = (size_t)most - datum_count(&sign);
    for (cut = 0; n < keep; n++)
        for (cut++; cut < text.text.n && ((unsigned char)text.text.p[cut] & 0xC0) == 0x80;)
            cut++;
    *out = datum_text(arena_bytesf(h->r->arena, "%.*s%.*s", SHOW(bytes_head(text.text, cut)), SHOW(sign.text)));
}

static void help_lookup(struct helping *h, struct datum *out)
{
    struct bytes name = arena_copy(h->r->arena, helper_print(h, &h->args[1]));

    if (!datum_member(&h->args[0], name, out))
        *out = (struct datum){ .kind = DATUM_MISSING };
}

/* SendGrid's {{insert x "default=y"}}. */
static void help_insert(struct helping *h, struct datum *out)
{
    struct bytes text;

    *out = h->args[0];
    if (h->n < 2 || !(datum_is_nothing(out) || (out->kind == DATUM_TEXT && out->text.n == 0)))
        return;
    text = helper_print(h, &h->args[1]);
    *out = datum_text(bytes_starts(text, BYTES("default=")) ? bytes_from(text, 8) : text);
}

/* In the order of their names. */
static const struct helper helpers[] = {
    { "and", help_and, 2, MANY, true, false },
    { "currency", help_currency, 1, 2, false, false },
    { "date", help_date, 1, 3, false, false },
    { "default", help_default, 2, MANY, true, false },
    { "eq", help_eq, 2, 2, true, false },
    { "equals", help_equals, 2, 2, true, true },
    { "first", help_first, 1, 1, false, false },
    { "formatDate", help_date, 1, 3, false, true },
    { "ge", help_ge, 2, 2, true, false },
    { "greaterThan", help_greater_than, 2, 2, true, true },
    { "gt", help_gt, 2, 2, true, false },
    { "insert", help_insert, 1, 2, true, true },
    { "join", help_join, 1, 2, false, false },
    { "json", help_json, 1, 1, false, false },
    { "last", help_last, 1, 1, false, false },
    { "le", help_le, 2, 2, true, false },
    { "length", help_length, 1, 1, true, false },
    { "lessThan", help_less_than, 2, 2, true, true },
    { "lookup", help_lookup, 2, 2, true, false },
    { "lower", help_lower, 1, 1, false, false },
    { "lt", help_lt, 2, 2, true, false },
    { "ne", help_ne, 2, 2, true, false },
    { "not", help_not, 1, 1, true, false },
    { "notEquals", help_not_equals, 2, 2, true, true },
    { "number", help_number, 1, 2, false, false },
    { "or", help_or, 2, MANY, true, false },
    { "pluralize", help_pluralize, 2, 3, false, false },
    { "truncate", help_truncate, 2, 3, false, false },
    { "upper", help_upper, 1, 1, false, false },
    { "url", help_url, 1, 1, false, false },
};

const struct helper *helper_find(struct bytes name, bool sendgrid)
{
    for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++)
        if (bytes_equal(name, bytes_of(helpers[i].name)) && (sendgrid || !helpers[i].sendgrid))
            return &helpers[i];
    return NULL;
}

/* What an argument costs whoever reads it whole. */
static size_t weight(const struct datum *d)
{
    return d->kind == DATUM_TEXT ? d->text.n / 32 : 0;
}

bool render_call(struct render *r, const struct expression *e, struct datum *out)
{
    struct datum *args = arena_array(r->arena, e->n_args + 1, sizeof *args);
    struct helping h = { .r = r, .call = e, .args = args, .n = e->n_args };

    for (size_t i = 0; i < e->n_args; i++) {
        if (!render_evaluate(r, e->args[i], &args[i]) || !render_charge(r, 2 + weight(&args[i]), e->at))
            return false;
        if (args[i].kind == DATUM_MISSING && e->args[i]->kind == EXPRESSION_PATH && !e->helper->tolerant)
            render_note(r, r->report->missing, &r->report->n_missing, e->args[i]->text);
    }
    *out = (struct datum){ .kind = DATUM_MISSING };
    e->helper->run(&h, out);
    if (r->fault->message[0])
        return false;
    return render_charge(r, 2 + weight(out), e->at);
}
