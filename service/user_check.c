#include "service/user_check.h"
#include "mail/address.h"
#include "service/service_private.h"

#define NAME_MOST     255
#define PASSWORD_MOST 1024
#define SEND_AS_MOST  100
#define METADATA_MOST (16 * 1024)

bool user_address_check(struct call *c, struct bytes text, struct bytes *plain, struct domain_row *domain)
{
    struct address address;
    struct err why = { 0 };

    *plain = NO_BYTES;
    *domain = (struct domain_row){ 0 };
    if (!text.n) {
        call_fault(c, "/address", "required", "An address is needed");
        return true;
    }
    if (!address_parse(text, c->arena, &address, &why) || !address_normalize(&address, true, c->arena, plain, &why)) {
        call_fault(c, "/address", "invalid_address", "%s", why.message);
        return true;
    }
    if (domain_of_account(c, address.domain, domain) && call_reaches(c, domain->id))
        return true;
    if (c->err.code && c->err.code != ERR_MISSING)
        return false;
    c->err = (struct err){ 0 };
    call_fault(c, "/address", "unknown_domain", "The domain %.*s is not in this account", SHOW(address.domain));
    return true;
}

static void set_name(struct call *c, struct bytes name, struct user_row *row)
{
    if (name.n > NAME_MOST || bytes_has_ctl_line(name))
        call_fault(c, "/name", "too_long", "A name has at most %d bytes, in one line", NAME_MOST);
    row->name = name;
}

static size_t characters(struct bytes text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((uint8_t)text.p[i] & 0xc0) != 0x80;
    return n;
}

static void check_password(struct call *c, struct bytes password)
{
    if (!password.p)
        return; /* none: cannot log in */
    if ((int64_t)characters(password) < PARAM_INT(users, password_min))
        call_fault(c, "/password", "too_short", "A password has at least %lld characters",
                   (long long)PARAM_INT(users, password_min));
    if (password.n > PASSWORD_MOST)
        call_fault(c, "/password", "too_long", "A password has at most %d bytes", PASSWORD_MOST);
    if (bytes_find(password, '\0') != password.n)
        call_fault(c, "/password", "invalid_characters", "A password holds no NUL"); /* SASL PLAIN could not carry it */
}

/* "a@b" or "@b", of domains of this account, in the form that is kept. */
static bool one_send_as(struct call *c, size_t i, struct bytes text, struct bytes *plain)
{
    const char *pointer = arena_printf(c->arena, "/send_as/%zu", i);
    struct domain_row row;
    struct address address = { .domain = NO_BYTES };
    struct err why = { 0 };
    bool whole = text.n && text.p[0] == '@';

    if (whole)
        address.domain = bytes_from(text, 1);
    else if (!address_parse(text, c->arena, &address, &why) ||
             !address_normalize(&address, true, c->arena, plain, &why))
        return call_fault(c, pointer, "invalid_address", "%s", why.message), true;
    if (!domain_of_account(c, address.domain, &row)) {
        if (c->err.code != ERR_MISSING)
            return false;
        c->err = (struct err){ 0 };
        return call_fault(c, pointer, "unknown_domain", "This domain is not in this account"), true;
    }
    if (whole)
        *plain = arena_bytesf(c->arena, "@%.*s", SHOW(row.name));
    return true;
}

static bool set_send_as(struct call *c, const struct user_change *in, struct user_row *row)
{
    struct buf text;
    struct jw w;
    bool ok = true;

    if (in->n_send_as > SEND_AS_MOST) {
        call_fault(c, "/send_as", "too_many", "At most %d", SEND_AS_MOST);
        return true;
    }
    buf_init(&text, 64 * 1024);
    jw_init(&w, &text);
    jw_array(&w);
    for (size_t i = 0; ok && i < in->n_send_as; i++) {
        struct bytes plain = NO_BYTES;

        ok = one_send_as(c, i, in->send_as[i], &plain);
        if (plain.p)
            jw_text(&w, plain);
    }
    jw_array_end(&w);
    row->send_as = in->n_send_as ? arena_copy(c->arena, buf_bytes(&text)) : NO_BYTES;
    buf_clear(&text);
    return ok;
}

static void set_metadata(struct call *c, struct bytes metadata, struct user_row *row)
{
    if (metadata.n > METADATA_MOST)
        call_fault(c, "/metadata", "too_long", "At most %d bytes", METADATA_MOST);
    row->metadata = metadata;
}

static void set_flags(struct call *c, const struct user_change *in, struct user_row *row)
{
    if (in->set & USER_SET_QUOTA) {
        if (in->quota < 0)
            call_fault(c, "/quota", "out_of_range", "A quota is 0 or more bytes");
        row->quota = in->quota;
    }
    if (in->set & USER_SET_DISABLED)
        row->disabled = in->disabled;
    if (in->set & USER_SET_SAVE_SENT)
        row->save_sent = in->save_sent;
    if ((in->set & USER_SET_ENCRYPTION) && !bytes_equal(in->encryption, BYTES("server")))
        call_fault(c, "/encryption", "not_available", "this build encrypts by the server's key: server");
}

bool user_apply(struct call *c, const struct user_change *in, struct user_row *row)
{
    if (in->set & USER_SET_NAME)
        set_name(c, in->name, row);
    if (in->set & USER_SET_PASSWORD)
        check_password(c, in->password);
    if (in->set & USER_SET_METADATA)
        set_metadata(c, in->metadata, row);
    set_flags(c, in, row);
    if ((in->set & USER_SET_SEND_AS) && !set_send_as(c, in, row))
        return false;
    if (!call_check(c))
        return false;
    if (!(in->set & USER_SET_PASSWORD))
        return true;
    row->password_hash = NO_BYTES;
    return !in->password.p || password_hash(c, in->password, &row->password_hash);
}
