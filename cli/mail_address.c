/* cli/mail_address.c - postrider mail address: one address, or a list of them, by each rule that we have for them. */
#include "cli/mail.h"
#include "cli/mail_message.h"
#include "mail/address.h"
#include "mail/public_suffix.h"
#include "service/body/structure.h"

static const struct flag address_flags[] = {
    { "suffixes", FLAG_TEXT, "suffixes", false, "FILE with public suffixes; without it those of the system" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

/* null, or why it is none. */
static void write_fault(struct jw *w, const char *name, bool ok, const struct err *e)
{
    jw_key_text(w, name, ok ? NO_BYTES : bytes_of(e->message));
}

static bool write_suffix(struct mail_case *c, struct bytes domain)
{
    struct bytes path = mail_text(c, "suffixes"), suffix, registered;
    struct suffixes *list = NULL;

    if (!suffixes_open(path.p ? arena_text(c->a, path) : NULL, &list, &c->err))
        return false;
    suffixes_find(list, domain, c->a, &suffix, &registered);
    jw_key_text(c->out, "public_suffix", suffix);
    jw_key_text(c->out, "registered", registered);
    suffixes_close(&list);
    return true;
}

static bool write_domain(struct mail_case *c, struct bytes domain)
{
    struct bytes ascii = NO_BYTES, shown;
    struct err e = { 0 };
    bool ok = domain.p && domain_normalize(domain, c->a, &ascii, &e);

    jw_key_text(c->out, "domain", domain);
    jw_key_text(c->out, "domain_ascii", ok ? ascii : NO_BYTES);
    jw_key_text(c->out, "domain_unicode", ok && domain_unicode(ascii, c->a, &shown) ? shown : NO_BYTES);
    write_fault(c->out, "domain_fault", ok || !domain.p, &e);
    return write_suffix(c, ok ? ascii : NO_BYTES);
}

static struct bytes brackets(struct mail_case *c)
{
    return arena_bytesf(c->a, "<%.*s>", SHOW(c->value));
}

static void write_path(struct mail_case *c, const char *name, unsigned how)
{
    struct address path = { .name = NO_BYTES };
    struct bytes rest;
    struct err e = { 0 };
    bool ok = path_parse(brackets(c), how, c->a, &path, &rest, &e);

    jw_key_text(c->out, name, ok ? path.email.p ? path.email : BYTES("") : NO_BYTES);
}

static bool run(struct mail_case *c)
{
    struct address exact = { .name = NO_BYTES }, box = { .name = NO_BYTES };
    struct err why = { 0 }, ignored = { 0 };
    struct address_list list;
    struct bytes normal = NO_BYTES, domain;
    size_t at = bytes_find_last(c->value, '@');
    bool ok = address_parse(c->value, c->a, &exact, &why), one = mailbox_parse(c->value, c->a, &box, &ignored);
    const struct address *a = ok ? &exact : &box;

    jw_key_bool(c->out, "valid", ok);
    write_fault(c->out, "fault", ok, &why);
    jw_key_text(c->out, "name", box.name);
    jw_key_text(c->out, "email", ok || one ? a->email : NO_BYTES);
    jw_key_text(c->out, "local", ok || one ? a->local : NO_BYTES);
    jw_key_bool(c->out, "utf8", (ok || one) && a->utf8);
    if ((ok || one) && !address_normalize(a, true, c->a, &normal, &ignored))
        normal = NO_BYTES;
    jw_key_text(c->out, "normalized", normal);
    write_path(c, "sender", PATH_SENDER);
    write_path(c, "recipient", 0);
    address_list_parse(c->value, 10000, mail_limits_now(), c->a, &list);
    mail_write_people(c, "list", c->value);
    jw_key_int(c->out, "list_faults", (int64_t)list.faults);
    jw_key_int(c->out, "groups", (int64_t)list.groups);
    domain = ok || one ? a->domain : at == c->value.n ? c->value : NO_BYTES; /* a domain alone */
    return write_domain(c, domain);
}

const struct mail_verb mail_verb_address = {
    .name = "address",
    .member = "address",
    .flags = address_flags,
    .run = run,
    .help = "an address, a list of them, or a domain alone: is it one, and how is it written"
};
