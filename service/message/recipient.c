/* service/message/recipient.c - whom a mail may go to and who may send it: the same answers for every door.
 *
 * The order matters: sandbox.test is nobody's domain, ours comes before the outside, and only who is logged in reaches
 * the outside (no open relay, RFC 5321 3.6.2). Mail for a postmaster is always taken by somebody (RFC 5321 4.5.1). What
 * the directory tells of a user is given back at once, since a mail may have a thousand recipients. */
#include "service/message/recipient.h"
#include "base/clock.h"
#include "base/params.h"
#include "mail/srs.h"
#include "service/core/limits.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/identity/sender.h"
#include "service/message/postmaster.h"
#include "service/message/returned.h"
#include "service/queue/play.h"

#define SANDBOX_DOMAIN "sandbox.test"

/* In lenient mode the recipient is only marked, and its delivery is born bounced. */
static bool absent(struct call *c, const struct recipient_check_in *in, struct recipient *out)
{
    out->missing = true;
    return in->lenient || err_set(&c->err, ERR_MISSING, "No such user <%.*s>", SHOW(out->email));
}

static bool check_sandbox(struct call *c, const struct recipient_check_in *in, struct recipient *out)
{
    enum cause first;

    out->kind = RECIPIENT_SANDBOX;
    return play_first(out->email, &first) || absent(c, in, out);
}

/* What the directory tells of a user may be large, and a mail may have a thousand recipients: it is given back, and
 * only numbers stay. */
static bool find_user(struct call *c, const struct address *address, struct directory_user *user)
{
    struct arena_mark mark = arena_mark(c->arena);
    bool found = directory_find(c, address, user);

    arena_rewind(c->arena, mark);
    user->address = user->user_key = user->user_key_wrap = user->send_as = NO_BYTES;
    user->index_key = user->index_key_wrap = NO_BYTES;
    return found;
}

/* Where it is sent on to, if anywhere: asked only where there is no user, or more than that. */
static bool find_forward(struct call *c, const struct address *address, struct recipient *out)
{
    struct directory_forward f;

    if (!directory_forward(c, address, &f))
        return call_was_missing(c);
    out->forward = f.to;
    out->domain_id = f.domain_id;
    if (!id_is_none(f.user_id))
        return true;
    out->kind = RECIPIENT_FORWARD;
    out->account_id = f.account_id;
    return true;
}

static bool check_local(struct call *c, const struct recipient_check_in *in, const struct address *address,
                        const struct directory_domain *domain, struct recipient *out)
{
    struct directory_user user = { 0 };
    bool found = find_user(c, address, &user);

    if (!found && !call_was_missing(c))
        return false;
    out->kind = RECIPIENT_LOCAL;
    if ((!found || user.forwards) && !find_forward(c, address, out))
        return false;
    if (out->kind == RECIPIENT_FORWARD)
        return true;
    found = found && !user.disabled;
    if (found) {
        out->user_id = user.id;
        out->account_id = user.account_id;
        out->room = user.quota - user.used;
        out->full = user.used + in->size > user.quota || user.used >= user.quota;
    }
    if (postmaster_is(address) && (!found || out->full)) {
        out->full = false;
        return postmaster_find(c, domain, in->size, out);
    }
    if (!found)
        return absent(c, in, out);
    if (out->full && !in->lenient)
        return err_set(&c->err, ERR_MAILBOX_FULL, "The mailbox of <%.*s> is full", SHOW(out->email));
    return true;
}

/* A domain of ours that keeps no mailboxes here is the outside; in live mode so is one that another account has not
 * shown to own. */
static bool is_inside(struct call *c, const struct directory_domain *domain)
{
    bool foreign = c->who && c->who->kind != WHO_SYSTEM && !id_equal(domain->account_id, c->account);

    return domain->inbound && (!foreign || domain->verified || !service_is_live(c->svc));
}

/* Mail for the postmaster of any name of ours is taken: a domain that keeps no mailboxes here, too, unless who sends it
 * is one of us, for whom that domain is outside. */
static bool is_our_postmaster(struct call *c, bool known, const struct address *address)
{
    struct bytes domain, host;
    struct err ignored = { 0 };

    if (!postmaster_is(address))
        return false;
    if (known)
        return !c->who;
    return domain_normalize(address->domain, c->arena, &domain, &ignored) &&
           domain_normalize(PARAM_TEXT(server, hostname), c->arena, &host, &ignored) && bytes_equal(domain, host);
}

/* A report about mail that was sent on: to whom it was from, and from nobody else than <>, or everybody could relay. */
static bool check_way_back(struct call *c, const struct recipient_check_in *in, const struct address *address,
                           const struct directory_domain *domain, struct recipient *out)
{
    struct recipient_check_in back = *in;
    struct bytes email;

    out->email = address->email;
    if (!in->from_nobody ||
        srs_reverse(address->local, &c->svc->srs_key, 1, clock_wall(), c->arena, &email) != SRS_GOOD)
        return absent(c, in, out);
    if (!address_parse(email, c->arena, &back.address, &c->err))
        return false;
    back.from_nobody = false; /* what comes out is no such address again */
    if (recipient_check(c, &back, out))
        return true;
    if (c->err.code != ERR_RELAY)
        return false;
    c->err = (struct err){ 0 };
    out->kind = RECIPIENT_REMOTE;
    out->account_id = domain->account_id;
    return address_normalize(&back.address, false, c->arena, &out->email, &c->err);
}

static bool check_domain(struct call *c, const struct recipient_check_in *in, const struct address *address,
                         struct recipient *out)
{
    struct directory_domain domain;
    bool known = directory_domain(c, address->domain, &domain);

    if (!known && c->err.code != ERR_MISSING)
        return false;
    c->err = (struct err){ 0 };
    if (known && srs_is(address->local))
        return check_way_back(c, in, address, &domain, out);
    if ((known && is_inside(c, &domain)) || is_our_postmaster(c, known, address))
        return address_normalize(address, true, c->arena, &out->email, &c->err) &&
               check_local(c, in, address, known ? &domain : NULL, out);
    if (!c->who)
        return err_set(&c->err, ERR_RELAY, "Relaying to <%.*s> needs a login", SHOW(address->email));
    out->kind = RECIPIENT_REMOTE;
    return address_normalize(address, false, c->arena, &out->email, &c->err);
}

bool recipient_check(struct call *c, const struct recipient_check_in *in, struct recipient *out)
{
    struct address address = in->address;
    struct bytes domain;
    bool returned;

    *out = (struct recipient){ 0 };
    if (!address.domain.p) { /* RFC 5321 4.5.1: <Postmaster> is ours */
        address.domain = PARAM_TEXT(server, hostname);
        address.email = arena_bytesf(c->arena, "%.*s@%.*s", SHOW(address.local), SHOW(address.domain));
    }
    if (address.utf8 && !in->utf8_ok)
        return err_set(&c->err, ERR_SYNTAX, "The address <%.*s> needs SMTPUTF8", SHOW(address.email));
    if (!domain_normalize(address.domain, c->arena, &domain, &c->err))
        return false;
    if (c->who && bytes_equal(domain, BYTES(SANDBOX_DOMAIN))) {
        if (!address_normalize(&address, true, c->arena, &out->email, &c->err) || !check_sandbox(c, in, out))
            return false;
        return in->uncounted || limits_recipients(c, 1);
    }
    if (!returned_check(c, &address, domain, out, &returned)) {
        out->kind = RECIPIENT_LOCAL;
        return c->err.code == ERR_MISSING && in->lenient && call_was_missing(c) && absent(c, in, out);
    }
    return returned || (check_domain(c, in, &address, out) && (!c->who || in->uncounted || limits_recipients(c, 1)));
}

bool sender_check(struct call *c, const struct address *sender)
{
    if (!sender->local.p || !c->who)
        return true;
    return sender_allowed(c, sender);
}
