#include "service/identity/sender.h"
#include "service/core/state.h"
#include "service/identity/directory.h"

static bool refuse(struct call *c, const struct address *from)
{
    return err_set(&c->err, ERR_SENDER, "%.*s may not send as <%.*s>", SHOW(c->who->name), SHOW(from->email));
}

static bool key_may(struct call *c, const struct address *from, const struct directory_domain *domain)
{
    return call_reaches(c, domain->id) || refuse(c, from);
}

static bool listed(struct call *c, struct bytes send_as, const struct address *from, bool *out)
{
    struct bytes whole, *texts;
    struct json_object *list = NULL;
    size_t n;

    *out = false;
    if (!send_as.p)
        return true;
    if (!address_normalize(from, true, c->arena, &whole, &c->err) || !json_read(send_as, &list, &c->err))
        return false;
    texts = json_texts(c->arena, list, &n);
    for (size_t i = 0; i < n && !*out; i++)
        *out = texts[i].n && texts[i].p[0] == '@' ? bytes_ends(whole, texts[i]) : bytes_equal(whole, texts[i]);
    json_object_put(list);
    return true;
}

static bool user_may(struct call *c, const struct address *from)
{
    struct directory_user owner, me;
    bool found = directory_find(c, from, &owner), allowed;

    if (!found && !call_was_missing(c))
        return false;
    if (found && id_equal(owner.id, c->who->id) && owner.how != FOUND_CATCH_ALL)
        return true;
    if (!directory_user(c, c->who->id, &me))
        return call_was_missing(c) && refuse(c, from);
    return listed(c, me.send_as, from, &allowed) && (allowed || refuse(c, from));
}

bool sender_untrusted(struct call *c, const struct directory_domain *author, struct bytes envelope, struct bytes *out)
{
    struct directory_domain domain = *author;

    envelope = bytes_from(envelope, bytes_find_last(envelope, '@') + 1);
    if (author->verified && envelope.n && !bytes_equal_nocase(envelope, author->name) &&
        !directory_domain(c, envelope, &domain)) {
        *out = NO_BYTES;
        return call_was_missing(c);
    }
    *out = domain.verified ? NO_BYTES : domain.name;
    return true;
}

bool sender_allowed(struct call *c, const struct address *from)
{
    struct directory_domain domain;

    if (c->who && c->who->kind == WHO_SYSTEM)
        return true;
    if (!call_may(c, SCOPE_SEND))
        return false;
    if (!from->domain.p)
        return refuse(c, from);
    if (!directory_domain(c, from->domain, &domain))
        return call_was_missing(c) && refuse(c, from);
    if (!id_equal(domain.account_id, c->account))
        return refuse(c, from);
    return c->who->kind == WHO_USER ? user_may(c, from) : key_may(c, from, &domain);
}
