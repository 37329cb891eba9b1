/* api/batches.c - batches over HTTP. The body of POST is collected, and never one tree: the messages are told apart,
 * and each is read when it is asked for, with the defaults below it, and forgotten after.
 *
 * What `messages` are is the schema's of one, by which each is checked as it is read; the members around them are
 * checked here. */
#include "service/message/batches.h"
#include "api/private.h"
#include "api/request.h"
#include "api/send.h"
#include "base/json_split.h"
#include "base/params.h"

struct batch_reading {
    struct request *r;
    const struct schema *schema; /* of one message */
    struct json_object *defaults;
    struct bytes mode, defaults_text;
    struct bytes *messages;
    size_t n;
    struct json_object **trees; /* that are in use */
    size_t n_trees, room;
};

/* ---- one message ---- */

/* These merge by their members; of everything else the message's own value replaces that of the defaults. Within a
 * template its variables do. */
static const char *const by_member[] = { "headers", "metadata", "template", NULL };

static bool merges(const char *name, const char *within)
{
    if (within)
        return strcmp(within, "template") == 0 && strcmp(name, "variables") == 0;
    for (const char *const *one = by_member; *one; one++)
        if (strcmp(*one, name) == 0)
            return true;
    return false;
}

static bool is_object(struct json_object *value)
{
    return json_object_is_type(value, json_type_object);
}

/* Header fields are one field whatever their case. */
static void replace(struct json_object *out, const char *name, struct json_object *value, bool field)
{
    json_object_object_foreach(out, there, ignored)
    {
        (void)ignored;
        if (field && strcasecmp(there, name) == 0 && strcmp(there, name) != 0) {
            json_object_object_del(out, there);
            break;
        }
    }
    json_object_object_add(out, name, json_object_get(value));
}

/* `within`: the member that these are, NULL for the message itself. */
static struct json_object *merged(struct json_object *below, struct json_object *own, const char *within)
{
    struct json_object *out = json_object_new_object(), *under;
    bool field = within && strcmp(within, "headers") == 0;

    json_object_object_foreach(below, name, value) json_object_object_add(out, name, json_object_get(value));
    json_object_object_foreach(own, key, mine) if (merges(key, within) && is_object(mine) &&
                                                   json_object_object_get_ex(below, key, &under) && is_object(under))
        json_object_object_add(out, key, merged(under, mine, key));
    else replace(out, key, mine, field);
    return out;
}

static void hold(struct batch_reading *b, struct json_object *tree)
{
    if (b->n_trees == b->room) {
        b->room = b->room ? 2 * b->room : 16;
        b->trees = realloc(b->trees, b->room * sizeof(struct json_object *));
        if (!b->trees)
            die("out of memory: messages of a batch");
    }
    b->trees[b->n_trees++] = tree;
}

static void forget(void *ctx)
{
    struct batch_reading *b = ctx;

    for (size_t i = 0; i < b->n_trees; i++)
        json_object_put(b->trees[i]);
    b->n_trees = 0;
}

struct parse {
    struct batch_reading *reading;
    struct call *call;
    struct bytes text;
    struct message_send_in *out;
    bool good;
};

/* On a worker thread when it is large. */
static void parse(void *arg)
{
    struct parse *p = arg;
    struct batch_reading *b = p->reading;
    struct json_object *own = NULL;

    p->good = schema_read(b->schema, p->text, (size_t)PARAM_INT(api, json_values_max), &own, &p->call->err);
    if (p->good)
        schema_check(p->call, b->schema, own);
    if (p->good && !p->call->n_faults && b->defaults) {
        struct json_object *whole = merged(b->defaults, own, NULL);

        json_object_put(own);
        own = whole;
    }
    hold(b, own);
    if (p->good && !p->call->n_faults)
        send_read(&(struct send_reading){ p->call, own }, p->out);
}

static bool read_message(void *ctx, struct call *c, size_t i, struct message_send_in *out)
{
    struct batch_reading *b = ctx;
    struct parse p = { .reading = b, .call = c, .text = b->messages[i], .out = out };

    if (p.text.n + b->defaults_text.n <= API_SMALL)
        parse(&p);
    else if (!offload(POOL_CPU, parse, &p, &c->err))
        return false;
    return p.good;
}

/* ---- the members around them ---- */

static bool malformed(struct request *r)
{
    return err_set(&r->call.err, ERR_BAD_JSON, "The body is no JSON object");
}

/* One more than there may be is told apart, so that it is seen. */
static bool split_messages(struct batch_reading *b, struct bytes list)
{
    struct request *r = b->r;
    size_t most = (size_t)PARAM_INT(batch, messages_max) + 1;
    struct json_split s;
    struct bytes key, value;

    if (!json_split_begin(&s, list) || !json_split_is_array(&s)) {
        call_fault(&r->call, "/messages", "invalid_type", "A list of messages");
        return true;
    }
    b->messages = arena_array(r->call.arena, most, sizeof *b->messages);
    while (json_split_next(&s, &key, &value))
        if (b->n < most)
            b->messages[b->n++] = value;
    return !s.wrong || malformed(r);
}

static bool read_mode(struct batch_reading *b, struct bytes text)
{
    static const char *const modes[] = { "\"strict\"", "\"permissive\"", "null" };

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (bytes_equal(text, bytes_of(modes[i])))
            b->mode = text;
    if (!b->mode.p)
        call_fault(&b->r->call, "/mode", "invalid_choice", "Must be one of: strict, permissive");
    return true;
}

/* Its faults are told at /defaults, once. */
static bool read_defaults(struct batch_reading *b, struct bytes text)
{
    struct call *c = &b->r->call, own = *c;

    b->defaults_text = text;
    own.faults = NULL;
    own.n_faults = 0;
    if (bytes_equal(text, BYTES("null")))
        return true;
    if (!schema_read(b->schema, text, (size_t)PARAM_INT(api, json_values_max), &b->defaults, &c->err))
        return false;
    schema_check(&own, b->schema, b->defaults);
    for (size_t i = 0; i < own.n_faults; i++)
        call_fault(c, arena_printf(c->arena, "/defaults%.*s", SHOW(own.faults[i].pointer)),
                   arena_text(c->arena, own.faults[i].code), "%.*s", SHOW(own.faults[i].message));
    return true;
}

static bool read_member(struct batch_reading *b, struct bytes key, struct bytes value, unsigned *seen)
{
    static const struct {
        const char *name;
        bool (*read)(struct batch_reading *b, struct bytes value);
    } members[] = { { "messages", split_messages }, { "defaults", read_defaults }, { "mode", read_mode } };
    struct call *c = &b->r->call;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (bytes_equal(key, bytes_of(members[i].name))) {
            if (*seen & 1u << i)
                return err_set(&c->err, ERR_BAD_JSON, "The member %s is there twice", members[i].name);
            *seen |= 1u << i;
            return members[i].read(b, value);
        }
    call_fault(c, arena_printf(c->arena, "/%.*s", SHOW(bytes_head(key, 100))), "unknown_field",
               "There is no such field");
    return true;
}

static bool read_body(struct batch_reading *b)
{
    struct request *r = b->r;
    struct json_split s;
    struct bytes key, value;
    unsigned seen = 0;

    if (!r->key.p && !exchange_collect(r->x, &r->call.err))
        return false;
    if (!json_split_begin(&s, buf_bytes(&r->x->in)) || json_split_is_array(&s))
        return malformed(r);
    while (json_split_next(&s, &key, &value))
        if (!read_member(b, key, value, &seen))
            return false;
    if (s.wrong)
        return malformed(r);
    if (!(seen & 1))
        call_fault(&r->call, "/messages", "required", "messages is required");
    return call_check(&r->call);
}

/* ---- the operations ---- */

static const struct schema *schema_of_message(const struct request *r)
{
    for (const struct schema_property *p = r->route->body->properties; p->name; p++)
        if (strcmp(p->name, "messages") == 0)
            return p->schema->items;
    die("the contract of %s names no messages", r->route->name);
}

bool api_batch_create(struct request *r)
{
    struct batch_reading b = { .r = r, .schema = schema_of_message(r) };
    struct batch_view out;
    bool ok;

    answer_kept(r, HTTP_ACCEPTED, &batch_created_members);
    ok = read_body(&b);
    if (ok) {
        const struct batch_create_in in = { .n = b.n,
                                            .permissive = bytes_equal(b.mode, BYTES("\"permissive\"")),
                                            .read = read_message,
                                            .forget = forget,
                                            .ctx = &b };

        ok = batch_create(&r->call, &in, &out) && answer_object(r, HTTP_ACCEPTED, &batch_created_members, &out);
    }
    forget(&b);
    free(b.trees);
    json_object_put(b.defaults);
    return ok;
}

bool api_batch_list(struct request *r)
{
    const struct batch_list_in in = { .page = query_page(r) };
    struct batch_list_out out = { 0 };

    return batch_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &batch_members, out.rows, out.n, sizeof *out.rows);
}

bool api_batch_get(struct request *r)
{
    const struct batch_get_in in = { .id = r->parameter[0] };
    struct batch_view out;

    return batch_get(&r->call, &in, &out) && answer_object(r, HTTP_OK, &batch_members, &out);
}

bool api_batch_message_list(struct request *r)
{
    const struct batch_message_list_in in = { .id = r->parameter[0], .page = query_page(r) };
    struct message_list_out out = { 0 };

    return batch_message_list(&r->call, &in, &out) &&
           answer_list(r, &out.page, &message_members, out.rows, out.n, sizeof *out.rows);
}

bool api_batch_cancel(struct request *r)
{
    const struct batch_cancel_in in = { .id = r->parameter[0] };
    struct batch_view out;

    answer_kept(r, HTTP_OK, &batch_members);
    return batch_cancel(&r->call, &in, &out) && answer_object(r, HTTP_OK, &batch_members, &out);
}
