/* mail/rules.c - the file in three parts: providers are read here, rules by mail/classify.c, prefetchers by
 * mail/prefetch.c. A set of rules never
 * changes once it is read: a file with a fault changes nothing, and who holds the set of before goes on with it. */
#include "mail/rules.h"
#include "base/arena.h"
#include "base/json.h"
#include "mail/chars.h"
#include <json-c/linkhash.h>
#include <pthread.h>
#include <stdio.h>

#include "prefetchers.inc" /* made from prefetchers.json */
#include "providers.inc"   /* made from providers.json */

enum { PROVIDERS_MEMORY = 4 << 20, VALUES_MAX = 100000, NUMBER_MAX = 10000 };

struct host_rule {
    struct bytes mx; /* lower case */
    const struct provider *provider;
};

struct rules {
    struct arena *arena;
    struct classifier *classifier;
    struct host_rule *hosts;
    size_t n, room;
    struct prefetcher *prefetchers;
    size_t n_prefetchers;
};

/* Where a file is wrong: an item of a list, from 1. */
struct fault {
    const char *list;
    size_t item; /* 0: not of one item */
};

static bool wrong(size_t number, const char *what, const char *name, struct err *e)
{
    return err_set(e, ERR_INVALID, "provider %zu: %s \"%.60s\"", number + 1, what, name);
}

static void add_host(struct rules *r, struct bytes mx, const struct provider *p)
{
    if (r->n == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        r->hosts = realloc(r->hosts, r->room * sizeof *r->hosts);
        if (!r->hosts)
            die("out of memory");
    }
    r->hosts[r->n++] = (struct host_rule){ mx, p };
}

static bool read_hosts(struct rules *r, struct json_object *list, size_t number, const struct provider *p,
                       struct err *e)
{
    size_t n = 0;
    struct bytes *texts = NULL;

    if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) > RULES_SUFFIXES_MAX)
        return wrong(number, "a list of at most 100 names is wanted in", "mx", e);
    texts = json_texts(r->arena, list, &n);
    for (size_t i = 0; i < n; i++) {
        if (texts[i].n < 2 || bytes_plain(texts[i]) != texts[i].n)
            return wrong(number, "not the name of a host in", "mx", e);
        add_host(r, arena_lower(r->arena, texts[i]), p);
    }
    return true;
}

static bool read_number(struct json_object *value, int *out)
{
    int64_t n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;

    *out = (int)n;
    return n >= 1 && n <= NUMBER_MAX;
}

static bool read_member(struct rules *r, const char *name, struct json_object *value, struct provider *p)
{
    struct bytes key = bytes_of(name), text = NO_BYTES;

    if (json_object_is_type(value, json_type_string))
        text = (struct bytes){ json_object_get_string(value), (size_t)json_object_get_string_len(value) };
    if (bytes_equal(key, BYTES("name"))) {
        p->name = arena_copy(r->arena, text);
        return text.n > 0 && text.n <= PROVIDER_NAME_MAX && bytes_plain(text) == text.n;
    }
    if (bytes_equal(key, BYTES("tls"))) {
        p->tls_required = bytes_equal(text, BYTES("require"));
        return p->tls_required || bytes_equal(text, BYTES("may"));
    }
    if (bytes_equal(key, BYTES("connections")))
        return read_number(value, &p->connections);
    return bytes_equal(key, BYTES("per_connection")) ? read_number(value, &p->per_connection)
                                                     : bytes_equal(key, BYTES("mx"));
}

static bool read_provider(struct rules *r, struct json_object *o, size_t number, struct err *e)
{
    struct provider *p = arena_alloc(r->arena, sizeof *p);

    if (!json_object_is_type(o, json_type_object))
        return wrong(number, "an object is wanted, not", json_object_to_json_string(o), e);
    json_object_object_foreach(o, name, value)
    {
        if (!read_member(r, name, value, p))
            return wrong(number, "not understood:", name, e);
    }
    return p->name.n ? read_hosts(r, json_member(o, "mx"), number, p, e) : wrong(number, "must have", "name, mx", e);
}

static bool read_providers(struct rules *r, struct json_object *list, struct fault *f, struct err *e)
{
    size_t n = list ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < n; i++)
        if (!read_provider(r, json_object_array_get_idx(list, i), i, e)) {
            *f = (struct fault){ "providers", i + 1 };
            return false;
        }
    return true;
}

/* Behind those that are there. */
static bool read_prefetchers(struct rules *r, struct json_object *list, struct fault *f, struct err *e)
{
    size_t n = list ? json_object_array_length(list) : 0;
    struct prefetcher *all = arena_array(r->arena, r->n_prefetchers + n + 1, sizeof *all);

    if (r->n_prefetchers)
        memcpy(all, r->prefetchers, r->n_prefetchers * sizeof *all);
    r->prefetchers = all;
    for (size_t i = 0; i < n; i++)
        if (!prefetcher_read(json_object_array_get_idx(list, i), i, r->arena, &all[r->n_prefetchers++], e)) {
            *f = (struct fault){ "prefetchers", i + 1 };
            return false;
        }
    return true;
}

/* The member of a file that is a list; *out is NULL where there is none. */
static bool list_of(struct json_object *tree, const char *name, size_t most, struct json_object **out, struct err *e)
{
    *out = json_member(tree, name);
    if (!*out || (json_object_is_type(*out, json_type_array) && json_object_array_length(*out) <= most))
        return true;
    return err_set(e, ERR_INVALID, "A list of at most %zu is wanted in \"%s\"", most, name);
}

static bool members_known(struct json_object *tree, struct err *e)
{
    if (!json_object_is_type(tree, json_type_object))
        return err_set(e, ERR_INVALID, "An object with providers, rules and prefetchers is wanted");
    json_object_object_foreach(tree, name, value)
    {
        (void)value;
        if (!bytes_equal(bytes_of(name), BYTES("providers")) && !bytes_equal(bytes_of(name), BYTES("rules")) &&
            !bytes_equal(bytes_of(name), BYTES("prefetchers")))
            return err_set(e, ERR_INVALID, "Not understood: \"%.60s\"", name);
    }
    return true;
}

/* The rules alone, as mail/classify.h takes them. */
static struct bytes rules_text(struct arena *a, struct json_object *list)
{
    return list ? arena_bytesf(a, "{\"rules\":%s}", json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN))
                : NO_BYTES;
}

static bool read_file(struct rules *r, struct bytes text, struct bytes *classify, struct fault *f, struct err *e)
{
    struct json_object *tree = NULL, *hosts = NULL, *rules = NULL, *ahead = NULL;
    bool ok = json_read_most(text, VALUES_MAX, &tree, e) && members_known(tree, e) &&
              list_of(tree, "providers", RULES_PROVIDERS_MAX, &hosts, e) &&
              list_of(tree, "rules", CLASSIFY_RULES_MAX, &rules, e) &&
              list_of(tree, "prefetchers", PREFETCHERS_MAX, &ahead, e) && read_providers(r, hosts, f, e) &&
              read_prefetchers(r, ahead, f, e);

    *classify = ok ? rules_text(r->arena, rules) : NO_BYTES;
    json_object_put(tree);
    return ok;
}

/* ---- where a fault stands ---- */

/* Behind the string that begins at `at`. */
static size_t string_end(struct bytes text, size_t at)
{
    for (at++; at < text.n && text.p[at] != '"'; at++)
        at += text.p[at] == '\\';
    return at + 1;
}

/* Where the item of a list stands that is a member of the object `text`, which is good JSON. */
static size_t item_at(struct bytes text, const struct fault *f)
{
    bool named = false, within = false, begins = false;
    size_t seen = 0, depth = 0;

    for (size_t i = 0, end; i < text.n; i = end) {
        char c = text.p[i];

        end = c == '"' ? string_end(text, i) : i + 1;
        if (char_is_blank(c) || c == ':')
            continue;
        if (begins && c != ']' && ++seen == f->item)
            return i;
        begins = false;
        if (c == '"' && depth == 1)
            named = bytes_equal(bytes_head(bytes_from(text, i + 1), end - i - 2), bytes_of(f->list));
        if ((c == '[' || c == '{') && ++depth == 2)
            begins = within = named && c == '[';
        else if (c == ',' && depth == 2)
            begins = within;
        else if (c == ']' || c == '}')
            depth--;
    }
    return text.n;
}

static size_t line_at(struct bytes text, size_t at)
{
    size_t line = 1;

    for (size_t i = 0; i < at && i < text.n; i++)
        line += text.p[i] == '\n';
    return line;
}

/* What is no JSON is told with its offset (base/json.h). */
static size_t line_of(struct bytes text, const struct fault *f, const struct err *e)
{
    size_t at = 0;

    if (f->item)
        return line_at(text, item_at(text, f));
    if (e->code == ERR_BAD_JSON && sscanf(e->message, "Invalid JSON at offset %zu", &at) == 1)
        return line_at(text, at);
    return 0;
}

bool rules_read(struct bytes own, struct rules **out, size_t *line, struct err *e)
{
    struct fault f = { "rules", 0 }, none_there = { 0 };
    struct rules *r = calloc(1, sizeof *r);
    const struct bytes shipped_files[] = { { providers, sizeof providers }, { prefetchers, sizeof prefetchers } };
    struct bytes own_rules = NO_BYTES, none = NO_BYTES;
    bool ok = true;

    if (!r)
        die("out of memory");
    r->arena = arena_new(PROVIDERS_MEMORY);
    ok = (!own.n || read_file(r, own, &own_rules, &f, e)) && read_file(r, shipped_files[0], &none, &none_there, e) &&
         read_file(r, shipped_files[1], &none, &none_there, e) && arena_check(r->arena, e) &&
         classifier_read(own_rules, &r->classifier, &f.item, e);
    *line = ok ? 0 : line_of(own, &f, e);
    if (ok)
        *out = r;
    else
        rules_free(&r);
    return ok;
}

void rules_free(struct rules **r)
{
    if (!*r)
        return;
    classifier_free(&(*r)->classifier);
    arena_free(&(*r)->arena);
    free((*r)->hosts);
    free(*r);
    *r = NULL;
}

static struct rules *shipped;

static void make_shipped(void)
{
    struct err e = { 0 };
    size_t ignored;

    if (!rules_read(NO_BYTES, &shipped, &ignored, &e))
        die("the rules that are built in: %s", e.message);
}

const struct rules *rules_shipped(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_shipped);
    return shipped;
}

const struct provider *rules_provider(const struct rules *r, struct bytes mx_host)
{
    if (!r)
        r = rules_shipped();
    if (bytes_ends(mx_host, BYTES(".")))
        mx_host.n--;
    for (size_t i = 0; i < r->n; i++) {
        struct bytes mx = r->hosts[i].mx;

        if (*mx.p == '.' ? mx_host.n > mx.n && bytes_ends_nocase(mx_host, mx) : bytes_equal_nocase(mx_host, mx))
            return r->hosts[i].provider;
    }
    return NULL;
}

const struct prefetcher *rules_prefetcher(const struct rules *r, struct bytes agent, const struct network *address)
{
    return prefetcher_find(r->prefetchers, r->n_prefetchers, agent, address);
}

static enum refused_at refused_at(enum phase phase)
{
    static const enum refused_at at[] = {
        [PHASE_CONNECT] = REFUSED_CONNECT, [PHASE_GREETING] = REFUSED_CONNECT, [PHASE_EHLO] = REFUSED_HELLO,
        [PHASE_TLS] = REFUSED_HELLO,       [PHASE_AUTH] = REFUSED_HELLO,       [PHASE_MAIL] = REFUSED_MAIL,
        [PHASE_RCPT] = REFUSED_RCPT,       [PHASE_DATA] = REFUSED_DATA,        [PHASE_DOT] = REFUSED_DATA
    };

    return at[phase];
}

const struct classifier *rules_classifier(const struct rules *r)
{
    return r->classifier;
}

struct meaning rules_classify(const struct rules *r, const struct rules_query *q)
{
    const struct provider *p = q->mx_host.n ? rules_provider(r, q->mx_host) : NULL;

    if (!r)
        r = rules_shipped();
    return classify(r->classifier,
                    &(struct refusal){ refused_at(q->phase), q->code, q->enhanced, q->text, p ? p->name : NO_BYTES });
}
