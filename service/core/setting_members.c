/* service/core/setting_members.c - how parameters and their history are shown.
 *
 * A view has texts, as a parameter has; JSON shows numbers and booleans as what they are, so a client can send back
 * what it was given. */
#include "service/core/member.h"
#include "service/core/setting.h"

/* The view gives text; numbers and booleans are shown as what they are. */
static void show_typed(struct jw *w, const struct setting_view *v, struct bytes text)
{
    enum param_type type = param_row(v->param)->type;
    bool number = type == PARAM_TYPE_INT || type == PARAM_TYPE_SIZE || type == PARAM_TYPE_DURATION;
    int64_t n;

    if (!text.p)
        jw_null(w);
    else if (number && bytes_to_int(text, &n))
        jw_int(w, n);
    else if (type == PARAM_TYPE_BOOL)
        jw_bool(w, bytes_equal(text, BYTES("true")));
    else
        jw_text(w, text);
}

static void show_value(struct jw *w, const void *row)
{
    show_typed(w, row, ((const struct setting_view *)row)->value);
}

static void show_pending(struct jw *w, const void *row)
{
    show_typed(w, row, ((const struct setting_view *)row)->pending);
}

static void show_default(struct jw *w, const void *row)
{
    show_typed(w, row, ((const struct setting_view *)row)->standard);
}

/* Bounds are numbers: of the value, or of the length of a text. */
static void show_bound(struct jw *w, struct bytes text)
{
    int64_t n;

    if (text.n && bytes_to_int(text, &n))
        jw_int(w, n);
    else
        jw_null(w);
}

static void show_min(struct jw *w, const void *row)
{
    show_bound(w, ((const struct setting_view *)row)->min);
}

static void show_max(struct jw *w, const void *row)
{
    show_bound(w, ((const struct setting_view *)row)->max);
}

static const struct param_row *param_of(const void *row)
{
    return param_row(((const struct setting_view *)row)->param);
}

static void show_name(struct jw *w, const void *row)
{
    jw_text(w, bytes_of(param_of(row)->name));
}

static void show_type(struct jw *w, const void *row)
{
    jw_text(w, bytes_of(((const struct setting_view *)row)->type));
}

static void show_live(struct jw *w, const void *row)
{
    jw_bool(w, param_of(row)->when == PARAM_LIVE);
}

static void show_source(struct jw *w, const void *row)
{
    static const char *const sources[] = { "default", "store", "file", "env", "flag" };

    jw_text(w, bytes_of(sources[((const struct setting_view *)row)->source]));
}

static void show_text(struct jw *w, const void *row)
{
    jw_text(w, bytes_of(param_of(row)->text));
}

static void show_choices(struct jw *w, const void *row)
{
    const struct param_row *p = param_of(row);
    struct bytes rest = bytes_of(p->min), choice;

    if (p->type != PARAM_TYPE_CHOICE) {
        jw_null(w);
        return;
    }
    jw_array(w);
    while (rest.n) {
        bytes_cut(rest, '|', &choice, &rest);
        jw_text(w, choice);
    }
    jw_array_end(w);
}

/* A number or boolean is given as what it is; the parameter reads its text. */
static void read_value(struct json_object *value, struct arena *a, void *given)
{
    ((struct setting_update_in *)given)->value = arena_copy(a, bytes_of(json_object_get_string(value)));
}

#define SHOWN(name_, ...)                                                                                              \
    {                                                                                                                  \
        .name = name_, .type = MEMBER_OWN, __VA_ARGS__                                                                 \
    }

static const struct member setting_list_[] = {
    SHOWN("id", .show = show_name),
    SHOWN("name", .show = show_name, .column = true),
    SHOWN("value", .show = show_value, .given = CHANGED, .read = read_value, .column = true),
    SHOWN("pending", .show = show_pending),
    SHOWN("default", .show = show_default),
    SHOWN("type", .show = show_type),
    SHOWN("min", .show = show_min),
    SHOWN("max", .show = show_max),
    SHOWN("live", .show = show_live),
    SHOWN("source", .show = show_source, .column = true),
    SHOWN("text", .show = show_text),
    SHOWN("choices", .show = show_choices),
};
MEMBERS(setting, .object = "setting");

static const struct member setting_change_list_[] = {
    MEMBER(ID, setting_change_row, id, .prefix = "set"),
    MEMBER(TEXT, setting_change_row, name),
    MEMBER(TEXT, setting_change_row, old_value, .column = true),
    MEMBER(TEXT, setting_change_row, new_value, .column = true),
    MEMBER(TEXT, setting_change_row, who, .column = true),
    MEMBER(TIME, setting_change_row, at, .column = true),
};
MEMBERS(setting_change, .object = "setting_change");
