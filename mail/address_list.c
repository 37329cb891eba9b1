/* mail/address_list.c - the lists of From, To and Cc in one pass, without recursion.
 *
 * An item (what stands between commas) is collected in three texts at once, since only its end tells which of them was
 * meant: words of a display name, an addr-spec, comments. Group names and routes go; groups are counted. Broken items
 * are counted as faults, and the others are still read: a mail is shown even if its header is wrong. */
#include "mail/address_form.h"
#include "mail/chars.h"
#include "mail/header.h"

enum { TEXT_MAX = 4096, LOCAL_MAX = 256, DOMAIN_MAX = 255 };

struct reader {
    struct bytes in;
    struct arena *arena;
    struct mail_limits limits;
    struct address_list *out;
    size_t room, max;
    struct buf phrase, spec, comment; /* of the item being read */
    bool gap;                         /* white space or a comment came before this token */
    bool angle, closed;               /* '<' seen, '>' seen */
    bool broken;                      /* words side by side where an addr-spec would be */
    struct bytes group;               /* that is open */
    bool fault;                       /* readable, but not as the grammar has it */
};

static void item_begin(struct reader *r)
{
    buf_reset(&r->phrase);
    buf_reset(&r->spec);
    buf_reset(&r->comment);
    r->gap = r->angle = r->closed = r->broken = r->fault = false;
}

/* Labels with single dots between them, or a literal. */
static bool domain_shaped(struct bytes domain)
{
    if (domain.n && domain.p[0] == '[')
        return bytes_find(domain, ']') == domain.n - 1;
    for (size_t i = 0; i < domain.n; i++)
        if (domain.p[i] == '.' ? i == 0 || domain.p[i - 1] == '.' : !char_is_atext(domain.p[i]))
            return false;
    return domain.n > 0;
}

/* In a header more is taken than in a path: dots at any place of a local part (they exist), and a domain that is no
 * host name, since the reader of a mail still wants to see it. */
static bool spec_read(struct reader *r, struct address *to)
{
    struct bytes spec = buf_bytes(&r->spec), in = spec;
    struct err e = { 0 };
    size_t at = bytes_find_last(spec, '@');

    if (r->broken || r->spec.overflowed || at == spec.n || at == 0 || at > LOCAL_MAX || spec.n - at - 1 > DOMAIN_MAX)
        return false;
    if (spec.p[0] == '"') {
        if (!address_read_local(&in, r->arena, &to->local, &e) || in.p != spec.p + at)
            return false;
    } else {
        to->local = bytes_head(spec, at);
        for (size_t i = 0; i < at; i++)
            if (spec.p[i] != '.' && !char_is_atext(spec.p[i]))
                return false;
    }
    to->domain = bytes_from(spec, at + 1);
    if (!domain_shaped(to->domain))
        return false;
    to->local = address_copy(r->arena, to->local);
    to->domain = address_copy(r->arena, to->domain);
    return to->local.p && to->domain.p && bytes_is_utf8(spec) && address_form(to, r->arena);
}

static struct bytes name_of(struct reader *r)
{
    struct bytes text = buf_bytes(r->angle && r->phrase.n ? &r->phrase : &r->comment);

    text = address_copy(r->arena, bytes_trim(text));
    return text.n ? header_decode(text, r->limits, r->arena) : NO_BYTES;
}

static struct bytes group_name(struct reader *r)
{
    struct bytes text = address_copy(r->arena, bytes_trim(buf_bytes(&r->phrase)));

    return text.n ? header_decode(text, r->limits, r->arena) : BYTES("");
}

static bool room_for_one(struct reader *r)
{
    struct address *larger = NULL;

    if (r->out->n < r->room)
        return true;
    larger = arena_try(r->arena, (r->room ? r->room * 2 : 8) * sizeof *larger);
    if (!larger)
        return false;
    if (r->out->n)
        memcpy(larger, r->out->list, r->out->n * sizeof *larger);
    r->out->list = larger;
    r->room = r->room ? r->room * 2 : 8;
    return true;
}

static void item_end(struct reader *r)
{
    struct address read = { .name = NO_BYTES };

    if (r->spec.n == 0 && r->phrase.n == 0 && !r->angle) { /* ",," is obsolete, not wrong */
        item_begin(r);
        return;
    }
    if (spec_read(r, &read) && room_for_one(r)) {
        read.name = name_of(r);
        read.group = r->group;
        r->out->list[r->out->n++] = read;
        r->out->faults += r->fault || (r->angle && !r->closed);
    } else {
        r->out->faults++;
    }
    item_begin(r);
}

static void add_comment(struct reader *r, struct bytes text)
{
    if (r->comment.n && text.n)
        buf_addc(&r->comment, ' ');
    buf_add(&r->comment, text);
}

/* RFC 5322 3.2.2; nesting is counted, not followed. */
static void read_comment(struct reader *r)
{
    size_t depth = 0, i = 0;

    for (; i < r->in.n; i++) {
        char c = r->in.p[i];

        if (c == '\\' && i + 1 < r->in.n)
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            break;
    }
    if (i >= r->in.n) {
        r->fault = true;
        i = r->in.n;
    }
    add_comment(r, (struct bytes){ r->in.p + 1, i > 1 ? i - 1 : 0 });
    r->in = bytes_from(r->in, i + 1);
    r->gap = true;
}

/* A word goes to the addr-spec as it is; two words with nothing but space between them cannot be one. */
static void add_word(struct reader *r, struct bytes spec, struct bytes plain)
{
    struct bytes before = buf_bytes(&r->spec);

    if (r->closed) { /* `<a@b> Name`: wrong, but it is a name */
        r->fault = true;
        add_comment(r, plain);
        return;
    }
    if (before.n && !char_in(before.p[before.n - 1], BYTES(".@")) && !char_in(spec.p[0], BYTES(".@")))
        r->broken = true;
    if (!r->angle && r->gap && r->phrase.n)
        buf_addc(&r->phrase, ' ');
    buf_add(&r->spec, spec);
    if (!r->angle)
        buf_add(&r->phrase, plain);
    r->gap = false;
}

static void read_quoted(struct reader *r)
{
    struct buf plain;
    size_t i = 1;

    buf_init(&plain, TEXT_MAX);
    for (; i < r->in.n && r->in.p[i] != '"'; i++) {
        if (r->in.p[i] == '\\' && i + 1 < r->in.n)
            i++;
        buf_addc(&plain, r->in.p[i]);
    }
    r->fault |= i >= r->in.n;
    add_word(r, bytes_head(r->in, i + 1), buf_bytes(&plain));
    buf_clear(&plain);
    r->in = bytes_from(r->in, i + 1);
}

static bool ends_word(char c)
{
    return char_is_blank(c) || char_in(c, BYTES("(),:;<>\"["));
}

static void read_word(struct reader *r)
{
    size_t n = 0;

    if (r->in.p[0] == '[') { /* a literal holds colons */
        struct bytes literal = bytes_head(r->in, DOMAIN_MAX);

        n = bytes_find(literal, ']');
        n = n < literal.n ? n + 1 : 1; /* one that is not closed ends nothing but itself */
    } else {
        while (n < r->in.n && !ends_word(r->in.p[n]))
            n++;
        n = n ? n : 1;
    }
    add_word(r, bytes_head(r->in, n), bytes_head(r->in, n));
    r->in = bytes_from(r->in, n);
}

static void open_angle(struct reader *r)
{
    if (r->closed) { /* a comma was forgotten */
        item_end(r);
        r->out->faults++;
    }
    r->fault |= r->angle;
    buf_reset(&r->spec);
    r->angle = true;
    r->broken = r->gap = false;
}

static bool in_route(const struct reader *r)
{
    return r->angle && !r->closed && (r->spec.n == 0 || r->spec.p[0] == '@');
}

static void read_special(struct reader *r, char c)
{
    r->in = bytes_from(r->in, 1);
    switch (c) {
    case '<': open_angle(r); break;
    case '>':
        r->fault |= !r->angle || r->closed;
        r->closed = true;
        break;
    case ':': /* behind a route or a group's name */
        r->fault |= r->angle && !in_route(r);
        buf_reset(&r->spec);
        r->broken = false;
        if (!r->angle) {
            r->group = group_name(r);
            item_begin(r);
            r->out->groups++;
        }
        break;
    default: /* ',' and ';' */
        r->out->groups += c == ';';
        if (c != ',' || !in_route(r))
            item_end(r);
        if (c == ';')
            r->group = NO_BYTES;
        break;
    }
}

static void read_token(struct reader *r)
{
    char c = r->in.p[0];

    if (char_is_blank(c)) {
        r->in = bytes_from(r->in, 1);
        r->gap = true;
    } else if (c == '(') {
        read_comment(r);
    } else if (c == '"') {
        read_quoted(r);
    } else if (char_in(c, BYTES("<>:,;"))) {
        read_special(r, c);
    } else {
        read_word(r);
    }
}

static void note_fault(const struct reader *r, const char *item)
{
    if (r->out->faults && !r->out->fault.p)
        r->out->fault = bytes_trim((struct bytes){ item, (size_t)(r->in.p - item) });
}

void address_list_parse(struct bytes value, size_t max, struct mail_limits limits, struct arena *a,
                        struct address_list *out)
{
    struct reader r = { .in = value, .arena = a, .limits = limits, .out = out, .max = max };
    const char *item = value.p;

    *out = (struct address_list){ .list = NULL };
    buf_init(&r.phrase, TEXT_MAX);
    buf_init(&r.spec, TEXT_MAX);
    buf_init(&r.comment, TEXT_MAX);
    while (r.in.n && out->n < max) {
        size_t done = out->n + out->faults;

        read_token(&r);
        note_fault(&r, item);
        if (out->n + out->faults != done)
            item = r.in.p;
    }
    if (out->n < max) {
        item_end(&r);
        note_fault(&r, item);
    }
    buf_clear(&r.phrase);
    buf_clear(&r.spec);
    buf_clear(&r.comment);
}

bool mailbox_parse(struct bytes text, struct arena *a, struct address *out, struct err *e)
{
    struct address_list list;
    struct bytes name;

    if (bytes_has_ctl_line(text) || !bytes_is_utf8(text))
        return err_set(e, ERR_SYNTAX, "A line break, NUL or invalid UTF-8 in an address");
    text = bytes_trim(text);
    if (bytes_find(text, '<') == text.n && bytes_find(text, '(') == text.n)
        return address_parse(text, a, out, e);
    address_list_parse(text, 2, (struct mail_limits){ .header_value = text.n }, a, &list);
    if (list.n != 1 || list.faults || list.groups)
        return err_set(e, ERR_SYNTAX, "Not one address like \"Name <a@example.org>\"");
    name = list.list[0].name;
    if (!address_parse(list.list[0].email, a, out, e))
        return false;
    out->name = name;
    return true;
}
