/* delivery/offer.c - extensions are rows, as commands are elsewhere; the parameters of MAIL and RCPT are written here
 * and nowhere else.
 *
 * What a peer announces is never trusted with more than a number or a flag. What we announce is xtext (RFC 3461 4), so
 * that no address or envelope id can bring a parameter of its own. */
#include "delivery/offer.h"
#include <assert.h>

static void read_size(struct bytes words, struct offer *o)
{
    int64_t n = 0;

    o->size = true;
    if (bytes_to_int(words, &n) && n > 0)
        o->size_max = n;
}

static bool next_word(struct bytes *rest, struct bytes *word)
{
    *rest = bytes_trim(*rest);
    if (!rest->n)
        return false;
    bytes_cut(*rest, ' ', word, rest);
    return true;
}

static void read_auth(struct bytes words, struct offer *o)
{
    struct bytes word;

    while (next_word(&words, &word)) {
        o->auth_plain |= bytes_equal_nocase(word, BYTES("PLAIN"));
        o->auth_login |= bytes_equal_nocase(word, BYTES("LOGIN"));
    }
}

/* RFC 9422 4: name=value, names it does not know are passed over. */
static void read_limits(struct bytes words, struct offer *o)
{
    struct bytes word, name, value;
    int64_t n = 0;

    while (next_word(&words, &word)) {
        if (!bytes_cut(word, '=', &name, &value) || !bytes_to_int(value, &n) || n <= 0)
            continue;
        if (bytes_equal_nocase(name, BYTES("MAILMAX")))
            o->mail_max = n;
        else if (bytes_equal_nocase(name, BYTES("RCPTMAX")))
            o->rcpt_max = n;
        else if (bytes_equal_nocase(name, BYTES("RCPTDOMAINMAX")))
            o->rcpt_domain_max = n;
    }
}

static const struct {
    struct bytes name;
    size_t flag; /* offset of its bool in struct offer; 0: read alone */
    void (*read)(struct bytes words, struct offer *o);
} extensions[] = {
    { BYTES_ROW("PIPELINING"), offsetof(struct offer, pipelining), NULL },
    { BYTES_ROW("SIZE"), 0, read_size },
    { BYTES_ROW("8BITMIME"), offsetof(struct offer, eight_bit), NULL },
    { BYTES_ROW("SMTPUTF8"), offsetof(struct offer, utf8), NULL },
    { BYTES_ROW("DSN"), offsetof(struct offer, dsn), NULL },
    { BYTES_ROW("STARTTLS"), offsetof(struct offer, starttls), NULL },
    { BYTES_ROW("REQUIRETLS"), offsetof(struct offer, require_tls), NULL },
    { BYTES_ROW("CHUNKING"), offsetof(struct offer, chunking), NULL },
    { BYTES_ROW("AUTH"), 0, read_auth },
    { BYTES_ROW("LIMITS"), 0, read_limits },
};

/* "AUTH=LOGIN PLAIN" was how it was first written, and is still said. */
static struct bytes keyword(struct bytes line, struct bytes *words)
{
    struct bytes word;

    bytes_cut(bytes_trim(line), ' ', &word, words);
    if (bytes_starts_nocase(word, BYTES("AUTH="))) {
        *words = bytes_from(bytes_trim(line), 5);
        word = bytes_head(word, 4);
    }
    return word;
}

static void read_line(struct bytes line, struct offer *out)
{
    struct bytes words, word = keyword(line, &words);

    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        if (!bytes_equal_nocase(word, extensions[i].name))
            continue;
        if (extensions[i].read)
            extensions[i].read(bytes_trim(words), out);
        else
            *(bool *)((char *)out + extensions[i].flag) = true;
    }
}

void offer_none(struct offer *out)
{
    *out = (struct offer){ 0 };
}

void offer_read(const struct reply *ehlo, struct offer *out)
{
    struct bytes rest = ehlo->text, line;

    offer_none(out);
    out->esmtp = true;
    reply_next_line(&rest, &line); /* the server's name */
    while (reply_next_line(&rest, &line))
        read_line(line, out);
}

struct bytes offer_name(const struct reply *r)
{
    struct bytes rest = r->text, line = NO_BYTES, name, other;

    reply_next_line(&rest, &line);
    bytes_cut(bytes_trim(line), ' ', &name, &other);
    return name;
}

bool offer_wants_helo(const struct reply *ehlo)
{
    return ehlo->code == 500 || ehlo->code == 502 || ehlo->code == 504 || ehlo->code == 550;
}

/* A host that takes SMTPUTF8 takes 8 bits too, whether it says so or not (RFC 6531 3.1). */
static enum offer_refusal lacking(const struct offer *o, const struct needs *n, const struct terms *t)
{
    if (n->require_tls && !(o->require_tls && t->verified))
        return REFUSAL_REQUIRE_TLS;
    if (n->utf8 && !o->utf8)
        return REFUSAL_UTF8;
    return n->body_8bit && !n->converted && !o->eight_bit && !n->utf8 ? REFUSAL_EIGHT_BIT : REFUSAL_NONE;
}

/* What is lacking everywhere may be done without: by changing the mail, or by not caring. */
static enum offer_refusal without_eight_bit(const struct needs *n, const struct terms *t, struct manner *how)
{
    if (!t->last || t->eight_bit == EIGHT_BOUNCE)
        return REFUSAL_EIGHT_BIT;
    if (t->eight_bit == EIGHT_SEND)
        return REFUSAL_NONE;
    how->convert = n->convertible;
    return how->convert ? REFUSAL_NONE : REFUSAL_EIGHT_BIT;
}

enum offer_result offer_negotiate(const struct offer *o, const struct needs *n, const struct terms *t,
                                  struct manner *how)
{
    *how = (struct manner){ .refusal = lacking(o, n, t) };
    if (how->refusal == REFUSAL_EIGHT_BIT)
        how->refusal = without_eight_bit(n, t, how);
    else if (how->refusal == REFUSAL_NONE)
        how->convert = n->long_lines && !n->converted && !n->utf8 && n->convertible && t->eight_bit == EIGHT_CONVERT;
    if (how->refusal == REFUSAL_NONE && o->size_max && n->size > o->size_max)
        how->refusal = REFUSAL_SIZE; /* a conversion makes it no smaller */
    if (how->refusal != REFUSAL_NONE) {
        how->convert = false;
        return OFFER_REFUSED;
    }
    how->size = o->size;
    how->body_8bit = n->body_8bit && !n->converted && o->eight_bit;
    how->utf8 = n->utf8;
    how->dsn = o->dsn;
    how->require_tls = n->require_tls;
    return OFFER_OK;
}

/* RFC 3461 4. */
static void add_xtext(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c > ' ' && c < 0x7F && c != '+' && c != '=')
            buf_addc(out, (char)c);
        else
            buf_addf(out, "+%02X", c);
    }
}

static unsigned code_point(struct bytes c)
{
    static const unsigned char first[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    unsigned point = (unsigned char)c.p[0] & first[c.n];

    for (size_t i = 1; i < c.n; i++)
        point = point << 6 | ((unsigned char)c.p[i] & 0x3F);
    return point;
}

/* utf-8-addr-xtext (RFC 6533 3): every server can carry it, whether it took SMTPUTF8 or not. */
static void add_utf8_xtext(struct buf *out, struct bytes text)
{
    while (text.n) {
        size_t n = bytes_utf8_length(text);
        struct bytes c = bytes_head(text, n ? n : 1);

        if (n == 1 && *c.p > ' ' && *c.p < 0x7F && *c.p != '+' && *c.p != '=' && *c.p != '\\')
            buf_addc(out, *c.p);
        else
            buf_addf(out, "\\x{%02X}", n ? code_point(c) : 0xFFFD);
        text = bytes_from(text, c.n);
    }
}

static void add_orcpt(struct buf *out, struct bytes orcpt)
{
    struct bytes type, address;

    if (!bytes_cut(orcpt, ';', &type, &address) || !type.n || !address.n)
        return;
    buf_adds(out, " ORCPT=");
    if (!bytes_is_ascii(address) || bytes_equal_nocase(type, BYTES("utf-8"))) {
        buf_adds(out, "utf-8;");
        add_utf8_xtext(out, address);
        return;
    }
    add_xtext(out, type);
    buf_addc(out, ';');
    add_xtext(out, address);
}

/* What is between the brackets can end neither them nor the line. */
static bool fits_path(struct bytes email)
{
    bool quoted = false;

    for (size_t i = 0; i < email.n; i++) {
        char c = email.p[i];

        if ((unsigned char)c < ' ' || c == 0x7F || (!quoted && (c == ' ' || c == '<' || c == '>')))
            return false;
        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            i++;
    }
    return !quoted;
}

static void add_path(struct buf *out, const char *verb, struct bytes email)
{
    assert(fits_path(email));
    buf_adds(out, verb);
    buf_add(out, email);
    buf_addc(out, '>');
}

void offer_add_mail(const struct manner *how, const struct needs *n, struct bytes sender, struct buf *out)
{
    assert(how->refusal == REFUSAL_NONE && !how->convert);
    add_path(out, "MAIL FROM:<", sender);
    if (how->size)
        buf_addf(out, " SIZE=%lld", (long long)n->size);
    if (how->body_8bit)
        buf_adds(out, " BODY=8BITMIME");
    if (how->utf8)
        buf_adds(out, " SMTPUTF8");
    if (how->require_tls)
        buf_adds(out, " REQUIRETLS");
    if (how->dsn && n->ret.n)
        buf_adds(out, bytes_equal_nocase(n->ret, BYTES("FULL")) ? " RET=FULL" : " RET=HDRS");
    if (how->dsn && n->envid.n) {
        buf_adds(out, " ENVID=");
        add_xtext(out, n->envid);
    }
    buf_adds(out, "\r\n");
}

void offer_add_rcpt(const struct manner *how, const struct offer_rcpt *r, struct buf *out)
{
    add_path(out, "RCPT TO:<", r->email);
    if (how->dsn && r->notify.n) {
        assert(bytes_plain(r->notify) == r->notify.n && bytes_find(r->notify, ' ') == r->notify.n);
        buf_adds(out, " NOTIFY=");
        buf_add(out, r->notify);
    }
    if (how->dsn)
        add_orcpt(out, r->orcpt);
    buf_adds(out, "\r\n");
}

size_t offer_recipients(const struct offer *o, size_t most, size_t taught)
{
    if (o->rcpt_max && (size_t)o->rcpt_max < most)
        most = (size_t)o->rcpt_max;
    if (taught && taught < most)
        most = taught;
    return most ? most : 1;
}
