/* cli/mail_zone.c - a zone in JSON, in place of the DNS: rows of a name, a type and answers or a fault.
 *
 * A name without a row is no name, unless it stands above one; a name without a row of that type has no such record.
 * CNAMEs are followed as a resolver does. Rows are walked: a zone of a test is short. */
#include "cli/mail.h"
#include <json-c/json.h>

enum { CHAIN_MAX = 8 };

struct zone_row {
    struct bytes name, type;
    enum lookup_result result;
    bool no_name;
    struct bytes *values, why;
    size_t n;
};

struct mail_zone {
    struct zone_row *rows;
    size_t n;
};

static struct bytes without_dot(struct bytes name)
{
    return bytes_ends(name, BYTES(".")) ? bytes_head(name, name.n - 1) : name;
}

/* A string may hold NUL; a number is its digits. */
static struct bytes text_of(struct json_object *o)
{
    if (json_object_is_type(o, json_type_string))
        return (struct bytes){ json_object_get_string(o), (size_t)json_object_get_string_len(o) };
    return bytes_of(json_object_get_string(o));
}

/* One answer: a text; of TXT also a list of strings, which are one text; of MX also [10, "host"]. */
static struct bytes answer_of(struct json_object *o, const struct zone_row *row, struct arena *a)
{
    struct buf joined;
    struct bytes text;

    if (!json_object_is_type(o, json_type_array))
        return arena_copy(a, text_of(o));
    buf_init(&joined, LOOKUP_ANSWER_MAX);
    for (size_t i = 0; i < json_object_array_length(o); i++) {
        if (i && bytes_equal_nocase(row->type, BYTES("MX")))
            buf_addc(&joined, ' ');
        buf_add(&joined, text_of(json_object_array_get_idx(o, i)));
    }
    text = arena_copy(a, buf_bytes(&joined));
    buf_clear(&joined);
    return text.p ? text : BYTES("");
}

static bool read_fault(struct bytes fault, struct zone_row *row, struct err *e)
{
    static const char *const failed[] = { "timeout", "servfail", "refused", "bogus" };

    row->why = fault;
    row->no_name = bytes_equal_nocase(fault, BYTES("nxdomain"));
    if (row->no_name || bytes_equal_nocase(fault, BYTES("nodata"))) {
        row->result = LOOKUP_NONE;
        return true;
    }
    row->result = LOOKUP_FAILED;
    for (size_t i = 0; i < sizeof failed / sizeof *failed; i++)
        if (bytes_equal_nocase(fault, bytes_of(failed[i])))
            return true;
    return err_set(e, ERR_INVALID, "\"%.*s\" is no fault: timeout, servfail, refused, bogus, nxdomain, nodata",
                   SHOW(fault));
}

static bool read_row(struct json_object *o, struct zone_row *row, struct arena *a, struct err *e)
{
    struct json_object *answers;
    struct bytes fault;

    if (!json_object_is_type(o, json_type_object) || !json_text(o, "name").p)
        return err_set(e, ERR_INVALID, "Each row of a zone is an object with a name");
    answers = json_member(o, "answers");
    fault = arena_copy(a, json_text(o, "fault"));
    row->name = arena_copy(a, without_dot(json_text(o, "name")));
    row->type = arena_copy(a, json_text(o, "type"));
    row->type = row->type.p ? row->type : BYTES("*");
    if (fault.p)
        return read_fault(fault, row, e);
    if (!json_object_is_type(answers, json_type_array))
        return err_set(e, ERR_INVALID, "\"%.*s\" wants answers, a list, or a fault", SHOW(row->name));
    row->n = json_object_array_length(answers);
    row->result = row->n ? LOOKUP_FOUND : LOOKUP_NONE;
    row->values = arena_array(a, row->n, sizeof *row->values);
    for (size_t i = 0; i < row->n; i++)
        row->values[i] = answer_of(json_object_array_get_idx(answers, i), row, a);
    return true;
}

bool mail_zone_read(struct json_object *list, struct arena *a, struct mail_zone **out, struct err *e)
{
    struct mail_zone *z = arena_alloc(a, sizeof *z);

    if (!json_object_is_type(list, json_type_array))
        return err_set(e, ERR_INVALID, "A zone is a list of {name, type, answers} or {name, type, fault}");
    z->n = json_object_array_length(list);
    z->rows = arena_array(a, z->n, sizeof *z->rows);
    for (size_t i = 0; i < z->n; i++)
        if (!read_row(json_object_array_get_idx(list, i), &z->rows[i], a, e))
            return false;
    *out = z;
    return true;
}

static bool is_of(const struct zone_row *row, struct bytes name, struct bytes type)
{
    return bytes_equal_nocase(row->name, name) &&
           (bytes_equal_nocase(row->type, type) || bytes_equal(row->type, BYTES("*")));
}

/* The name, or one below it, has a row: it is there (RFC 8020). */
static bool is_there(const struct mail_zone *z, struct bytes name)
{
    for (size_t i = 0; i < z->n; i++) {
        struct bytes one = z->rows[i].name;

        if (z->rows[i].no_name || !bytes_ends_nocase(one, name))
            continue;
        if (one.n == name.n || (one.n > name.n && one.p[one.n - name.n - 1] == '.'))
            return true;
    }
    return false;
}

static const struct zone_row *row_of(const struct mail_zone *z, struct bytes name, struct bytes type)
{
    for (size_t i = 0; i < z->n; i++)
        if (is_of(&z->rows[i], name, type))
            return &z->rows[i];
    return NULL;
}

/* Rows of one name and type are one answer. */
static void gather(const struct mail_zone *z, struct bytes name, struct bytes type, struct arena *a, struct lookup *q)
{
    q->values = arena_array(a, LOOKUP_VALUES, sizeof *q->values);
    for (size_t i = 0; i < z->n; i++)
        for (size_t j = 0; is_of(&z->rows[i], name, type) && j < z->rows[i].n && q->n < LOOKUP_VALUES; j++)
            q->values[q->n++] = bytes_head(z->rows[i].values[j], LOOKUP_VALUE_MAX);
}

void mail_zone_answer(const struct mail_zone *z, struct arena *a, struct lookup *q)
{
    struct bytes type = bytes_of(lookup_type_name(q->type)), name = without_dot(q->name);
    const struct zone_row *row = row_of(z, name, type), *alias;

    for (int i = 0; !row && i <= CHAIN_MAX; i++) {
        alias = q->type == LOOKUP_CNAME ? NULL : row_of(z, name, BYTES("CNAME"));
        if (!alias || !alias->n)
            break;
        if (i == CHAIN_MAX) {
            q->result = LOOKUP_FAILED;
            q->why = BYTES("a loop of CNAMEs");
            return;
        }
        name = q->target = without_dot(alias->values[0]);
        row = row_of(z, name, type);
    }
    q->result = row ? row->result : LOOKUP_NONE;
    q->no_name = row ? row->no_name : !is_there(z, name);
    q->why = row && row->why.p ? row->why : BYTES("no answer");
    if (row && row->result == LOOKUP_FOUND)
        gather(z, name, type, a, q);
}
