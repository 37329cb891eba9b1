/* service/queue/route.c - routes as rows. A member's rule looks at it alone; what only makes sense together (a relay
 * has hosts, a login a password) is judged of the whole row, so that no order of changes gets around it. Each change
 * nudges the other nodes. */
#include "service/queue/route.h"
#include "base/network.h"
#include "mail/address.h"
#include "service/core/member.h"
#include "service/core/nudge.h"
#include "service/core/precondition.h"
#include "service/core/secrets.h"
#include "service/core/state.h"
#include "service/queue/mail_route.h"
#include "service/queue/routing.h"

#define PASSWORD_MAX 512

static const int64_t tenant_ports[] = { 25, PORT_SUBMISSIONS, 587, 2525 };

static bool missing(struct call *c)
{
    return err_set(&c->err, ERR_MISSING, "No such route");
}

static bool may(struct call *c)
{
    return call_may(c, SCOPE_DOMAINS) &&
           (!c->who->n_domain_ids || err_set(&c->err, ERR_SCOPE, "A key that is bound to domains has no routes"));
}

static bool find(struct call *c, struct bytes text, void *out)
{
    struct route_row *row = out;
    struct id id;

    if (!may(c))
        return false;
    if (!id_parse("rte", text, &id))
        return missing(c);
    return store_get(c->store, &route_kind, id, c->arena, row, &c->err) &&
           (id_equal(row->account_id, c->account) || missing(c));
}

/* What an operator has opened is not led elsewhere by who could not have opened it. */
static bool find_mine(struct call *c, struct bytes id, void *out)
{
    const struct route_row *row = out;

    return find(c, id, out) && (!(row->private || row->insecure_auth || row->source.p) || call_may(c, SCOPE_OPERATOR));
}

/* ---- the password ---- */

/* Behind the name of the key. */
static struct bytes seal_password(const struct service *svc, struct id row, struct bytes password, struct arena *a)
{
    struct bytes both;
    struct buf out;

    buf_init(&out, WRAP_NAME + PASSWORD_MAX + CRYPT_SEAL_EXTRA);
    buf_add(&out, bytes_of(svc->wrap_name));
    buf_add(&out, secret_seal(svc, row, password, a));
    both = arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return both;
}

struct bytes route_password(const struct service *svc, struct id row, struct bytes sealed, struct arena *a)
{
    struct bytes password = NO_BYTES, wrap = bytes_head(sealed, WRAP_NAME);
    struct err ignored = { 0 };
    struct buf out;

    buf_init(&out, PASSWORD_MAX);
    if (secret_open(svc, row, bytes_from(sealed, WRAP_NAME), wrap, &out, &ignored))
        password = arena_copy(a, buf_bytes(&out));
    if (out.n)
        crypt_wipe(out.p, out.n);
    buf_clear(&out);
    return password;
}

/* ---- the members ---- */

/* "x.example", "*.x.example" or "*", normalized. */
static bool normal_pattern(struct call *c, struct bytes text, struct bytes *out)
{
    struct bytes plain;
    struct err why = { 0 };

    *out = text;
    if (!text.p || bytes_equal(text, BYTES("*")))
        return true;
    if (!bytes_starts(text, BYTES("*.")))
        return domain_normalize(text, c->arena, out, &why);
    if (!domain_normalize(bytes_from(text, 2), c->arena, &plain, &why) || plain.p[0] == '[')
        return false;
    *out = arena_bytesf(c->arena, "*.%.*s", SHOW(plain));
    return true;
}

static bool rule_domain(struct call *c, const void *given, void *row)
{
    if (!normal_pattern(c, ((const struct route_row *)given)->domain, &((struct route_row *)row)->domain))
        call_fault(c, "/domain", "invalid_domain", "Neither a domain nor *.domain nor *");
    return true;
}

static bool rule_sender_domain(struct call *c, const void *given, void *row)
{
    if (!normal_pattern(c, ((const struct route_row *)given)->sender_domain, &((struct route_row *)row)->sender_domain))
        call_fault(c, "/sender_domain", "invalid_domain", "Neither a domain nor *.domain nor *");
    return true;
}

static bool rule_source(struct call *c, const void *given, void *row)
{
    struct bytes source = ((const struct route_row *)given)->source;

    ((struct route_row *)row)->source = source;
    return !source.p || call_may(c, SCOPE_OPERATOR);
}

static bool rule_private(struct call *c, const void *given, void *row)
{
    bool private = ((const struct route_row *)given)->private;

    ((struct route_row *)row)->private = private;
    return !private || call_may(c, SCOPE_OPERATOR);
}

static bool rule_insecure_auth(struct call *c, const void *given, void *row)
{
    bool insecure = ((const struct route_row *)given)->insecure_auth;

    ((struct route_row *)row)->insecure_auth = insecure;
    return !insecure || call_may(c, SCOPE_OPERATOR);
}

/* A name, an address, or a literal: in the form that is looked up. */
static bool normal_host(struct call *c, struct bytes text, struct bytes *out)
{
    struct network ignored;
    struct err why = { 0 };

    *out = text;
    return network_parse_address(text, &ignored) ||
           (text.n && text.p[0] != '[' && domain_normalize(text, c->arena, out, &why));
}

static bool rule_hosts(struct call *c, const void *given, void *row)
{
    struct bytes *hosts, plain[ROUTE_HOSTS_MAX];
    size_t n;

    if (!members_texts(c, ((const struct route_row *)given)->hosts, &hosts, &n))
        return false;
    if (n > ROUTE_HOSTS_MAX)
        call_fault(c, "/hosts", "too_many", "At most %d hosts", ROUTE_HOSTS_MAX);
    n = n < ROUTE_HOSTS_MAX ? n : ROUTE_HOSTS_MAX;
    for (size_t i = 0; i < n; i++)
        if (!normal_host(c, hosts[i], &plain[i])) {
            call_fault(c, arena_printf(c->arena, "/hosts/%zu", i), "invalid_host",
                       "Neither a host name nor an address");
            plain[i] = hosts[i];
        }
    ((struct route_row *)row)->hosts = members_texts_json(c->arena, plain, n);
    return true;
}

static bool rule_password(struct call *c, const void *given, void *out)
{
    struct bytes password = ((const struct route_change *)given)->password;
    struct route_row *row = out;

    if (password.n > PASSWORD_MAX)
        call_fault(c, "/password", "too_long", "At most %d bytes", PASSWORD_MAX);
    row->secret =
        password.n && password.n <= PASSWORD_MAX ? seal_password(c->svc, row->id, password, c->arena) : NO_BYTES;
    return true;
}

static bool rule_version(struct call *c, const void *given, void *row)
{
    (void)c;
    (void)given;
    ((struct route_row *)row)->version++;
    return true;
}

static bool rule_updated_at(struct call *c, const void *given, void *row)
{
    (void)c;
    (void)given;
    ((struct route_row *)row)->updated_at = clock_wall();
    return true;
}

static void show_port(struct jw *w, const void *row)
{
    int64_t port = ((const struct route_row *)row)->port;

    if (port)
        jw_int(w, port);
    else
        jw_null(w);
}

static void read_port(struct json_object *value, struct arena *a, void *given)
{
    (void)a;
    ((struct route_row *)given)->port = json_object_get_int64(value);
}

static bool rule_port(struct call *c, const void *given, void *row)
{
    (void)c;
    ((struct route_row *)row)->port = ((const struct route_row *)given)->port;
    return true;
}

static const struct member route_list_[] = {
    MEMBER(ID, route_row, id, .prefix = "rte", .column = true),
    MEMBER(ID, route_row, account_id, .prefix = "acc"),
    MEMBER(INT, route_row, position, .given = MADE | CHANGED, .column = true),
    MEMBER(TEXT, route_row, domain, .given = MADE | CHANGED, .rule = rule_domain, .column = true),
    MEMBER(TEXT, route_row, sender_domain, .given = MADE | CHANGED, .rule = rule_sender_domain, .column = true),
    MEMBER(TEXT, route_row, tag, .given = MADE | CHANGED, .column = true),
    MEMBER(TEXT, route_row, class, .given = MADE | CHANGED),
    MEMBER(TEXT, route_row, source, .given = MADE | CHANGED, .rule = rule_source),
    MEMBER(TEXT, route_row, type, .given = MADE | CHANGED, .column = true),
    MEMBER(JSON, route_row, hosts, .given = MADE | CHANGED, .rule = rule_hosts, .otherwise = "[]", .column = true),
    MEMBER(OWN, route_row, port, .given = MADE | CHANGED, .rule = rule_port, .show = show_port, .read = read_port),
    MEMBER(TEXT, route_row, lookup, .given = MADE | CHANGED),
    MEMBER(TEXT, route_row, tls, .given = MADE | CHANGED, .column = true),
    MEMBER(TEXT, route_row, username, .given = MADE | CHANGED, .most = 255),
    { .name = "password",
      .type = MEMBER_TEXT,
      .offset = offsetof(struct route_change, password),
      .given = MADE | CHANGED,
      .hidden = true,
      .field = "secret",
      .rule = rule_password },
    MEMBER(BOOL, route_row, private, .given = MADE | CHANGED, .rule = rule_private),
    MEMBER(BOOL, route_row, insecure_auth, .given = MADE | CHANGED, .rule = rule_insecure_auth),
    MEMBER(INT, route_row, version, .hidden = true, .rule = rule_version),
    MEMBER(TIME, route_row, created_at),
    MEMBER(TIME, route_row, updated_at, .rule = rule_updated_at),
};
MEMBERS(route, .object = "route", .path = "/v1/routes/", .kind = &route_kind);

/* ---- the whole ---- */

static bool is_tenant_port(int64_t port)
{
    for (size_t i = 0; i < sizeof tenant_ports / sizeof *tenant_ports; i++)
        if (port == tenant_ports[i])
            return true;
    return port == 0; /* 25 */
}

static void check_relay(struct call *c, const struct route_row *row)
{
    if (!row->hosts.p)
        call_fault(c, "/hosts", "required", "A relay has at least one host");
    if (!call_is_operator(c) && !is_tenant_port(row->port))
        call_fault(c, "/port", "not_allowed", "A port of mail is wanted: 25, 465, 587 or 2525");
    if (row->port == PORT_SUBMISSIONS && bytes_equal(row->tls, BYTES("none")))
        call_fault(c, "/tls", "invalid_value", "Port 465 speaks TLS from the first byte");
    if (row->username.n && !row->secret.p)
        call_fault(c, "/password", "required", "A login has a password");
    if (row->secret.p && !row->username.n)
        call_fault(c, "/username", "required", "A password belongs to a login");
}

static void check_no_relay(struct call *c, const struct route_row *row)
{
    static const char only[] = "Only a relay has it";

    if (row->hosts.p)
        call_fault(c, "/hosts", "not_allowed", only);
    if (row->port)
        call_fault(c, "/port", "not_allowed", only);
    if (row->username.p)
        call_fault(c, "/username", "not_allowed", only);
    if (row->secret.p)
        call_fault(c, "/password", "not_allowed", only);
}

static bool check_whole(struct call *c, struct route_row *row)
{
    if (bytes_equal(row->type, BYTES("relay")))
        check_relay(c, row);
    else
        check_no_relay(c, row);
    return call_check(c);
}

/* ---- lists ---- */

bool route_list(struct call *c, const struct route_list_in *in, struct route_list_out *out)
{
    struct query q = { .kind = &route_kind, .index = "account", .n_conds = 1 };

    *out = (struct route_list_out){ 0 };
    if (!may(c))
        return false;
    q.conds[0] = COND("account_id", IS, V_ID(c->account));
    return call_list(c, &q, &in->page, (void **)&out->rows, &out->n, &out->page);
}

bool route_get(struct call *c, const struct route_get_in *in, struct route_row *out)
{
    return find(c, in->id, out);
}

/* ---- changes ---- */

static void count_in(struct call *c, struct batch *b, int64_t n)
{
    struct set *sets = arena_alloc(c->arena, sizeof *sets);

    *sets = n > 0 ? ADD_BOUND("routes", n, NULL, PARAM_INT(delivery, routes_max)) : ADD("routes", n);
    batch_update(b, &account_kind, c->account, NULL, 0, sets, 1);
}

/* What is not named is as for everybody. */
static struct route_row fresh(const struct call *c)
{
    return (struct route_row){ .id = id_new(),
                               .account_id = c->account,
                               .position = 100,
                               .type = BYTES("mx"),
                               .lookup = BYTES("address"),
                               .tls = BYTES("may"),
                               .version = 1,
                               .created_at = clock_wall(),
                               .updated_at = clock_wall() };
}

static void nudge(struct call *c, struct batch *b)
{
    nudge_add(b, c->arena, &route_kind);
}

bool route_create(struct call *c, const struct route_create_in *in, struct route_row *out)
{
    struct batch *b = batch_new(c->arena);

    *out = fresh(c);
    if (!may(c) || !members_apply(c, &route_members, &in->given, in->named, out) || !check_whole(c, out))
        return false;
    batch_insert(b, &route_kind, out, NULL, 0);
    count_in(c, b, 1);
    nudge(c, b);
    if (call_commit(c, b, out, out->id)) {
        routing_changed(c->svc);
        return true;
    }
    if (c->err.code != ERR_CONFLICT || batch_failure(b).fault != FAULT_BOUND)
        return false;
    call_fault(c, "", "limit_reached", "An account has at most %lld routes",
               (long long)PARAM_INT(delivery, routes_max));
    c->err = (struct err){ 0 };
    return call_check(c);
}

static bool finish(struct call *c, const void *given, uint64_t named, void *out)
{
    const struct route_change *change = given;
    struct route_row *row = out;
    bool elsewhere = named & members_named(&route_members, "hosts,port,lookup,username"),
         anew = named & members_named(&route_members, "password");

    if (!precondition_holds(c, change->if_match, named ? row->version - 1 : row->version))
        return false;
    if (elsewhere && !anew && row->secret.p)
        call_fault(c, "/password", "required", "The password is given again for another login or host");
    return check_whole(c, row);
}

bool route_update(struct call *c, const struct route_update_in *in, struct route_row *out)
{
    static const char *const judged[] = { "version", NULL };
    struct patch patch = { .members = &route_members,
                           .given = &in->given,
                           .named = in->named,
                           .id = in->id,
                           .find = find_mine,
                           .finish = finish,
                           .same = judged,
                           .also = nudge };

    if (patch.named)
        patch.named |= members_named(&route_members, "version,updated_at");
    if (!members_patch(c, &patch, out))
        return false;
    routing_changed(c->svc);
    return true;
}

bool route_delete(struct call *c, const struct route_delete_in *in, void *out)
{
    struct batch *b = batch_new(c->arena);
    struct route_row row;
    struct cond same;

    (void)out;
    if (!find_mine(c, in->id, &row) || !precondition_holds(c, in->if_match, row.version))
        return false;
    same = COND("version", IS, V_INT(row.version));
    batch_delete(b, &route_kind, row.id, &same, 1);
    count_in(c, b, -1);
    nudge(c, b);
    if (!call_commit(c, b, NULL, row.id))
        return false;
    routing_changed(c->svc);
    return true;
}
